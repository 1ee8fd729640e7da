"""Manifests for clusters that are no Slurm: may import what composes configs and what serves a judge."""
