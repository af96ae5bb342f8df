"""From bytes of a picture to the numbers that a network is fed, and the labels of pictures."""
