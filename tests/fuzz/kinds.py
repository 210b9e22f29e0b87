"""All kinds of inputs, by name."""

from __future__ import annotations

#: name to where its class is
KINDS = {
    "study": "fuzz.documents:StudyFile",
    "scaling": "fuzz.documents:ScalingFile",
    "theory": "fuzz.documents:TheoryFile",
    "protocol": "fuzz.documents:ProtocolFile",
    "plan": "fuzz.documents:PlanFile",
    "preset": "fuzz.documents:PresetFile",
    "yaml": "fuzz.documents:AnyYaml",
    "manifest_csv": "fuzz.manifests:CsvManifest",
    "manifest_parquet": "fuzz.manifests:ParquetManifest",
    "bids": "fuzz.manifests:Bids",
    "folder": "fuzz.manifests:Folder",
    "nifti": "fuzz.images:Nifti",
    "image": "fuzz.images:Image",
    "dicom": "fuzz.dicom:Dicom",
    "fastmri": "fuzz.kspace:FastMri",
    "ismrmrd": "fuzz.kspace:Ismrmrd",
    "export": "fuzz.exchange:Export",
    "imports": "fuzz.exchange:Imports",
    "validation": "fuzz.exchange:Validation",
    "model": "fuzz.stored:SavedModel",
    "external": "fuzz.stored:External",
    "store": "fuzz.stored:StoreEntry",
}
