"""What fits parameters: one module per stage, run as `python -m trainers STAGE`."""
