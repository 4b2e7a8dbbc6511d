"""What each engine can be asked to observe."""

FORMS = [
    ("truth", "state"),
    ("truth", "rgb"),
    ("truth", "depth"),
    ("dream", "rgb"),
    ("dream", "state"),
    ("dream", "codes"),
    ("dream", "latent"),
]
