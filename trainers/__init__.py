"""What fits parameters: one module a stage, run as `python -m trainers STAGE`."""
