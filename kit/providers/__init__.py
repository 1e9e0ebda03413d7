"""Who hands out a competition's data and takes its submissions. Providers never see models."""
