"""Willis: an open-source load balancer for medical imaging."""

__version__ = "0.1.0"
