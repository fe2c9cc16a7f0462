"""Model endpoints and the gateway in front of them. Keys live here and go nowhere else."""
