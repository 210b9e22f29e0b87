"""Images and labels of a site: the demo cohort, readers, manifests and patient-level splits."""
