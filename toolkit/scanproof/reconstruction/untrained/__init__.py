"""Un-trained networks: image models that are fitted to one slice's k-space and to nothing else."""
