"""What several sections of a report share: from how many images on a rate is named, and shares of images."""

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)  # shares of the images answered, in tables
ENOUGH = 10  # test images of a class below which its recall is given as a count only
AGAIN = "remove it and make the report again"  # what helps where audit.json is damaged
