"""The run folder, between what makes runs and what tells of them; nothing here imports PyTorch."""
