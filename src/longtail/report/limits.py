"""What a report shows: from how many images on it names a rate, and of which shares of images it says the error."""

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)  # shares of the images answered, in tables
ENOUGH = 10  # test images of a class below which its recall is given as a count only
