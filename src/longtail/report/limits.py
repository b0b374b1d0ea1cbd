"""What several sections of a report share."""

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)  # shares of the images answered, in tables
AGAIN = "remove it and make the report again"  # what helps where audit.json is damaged
