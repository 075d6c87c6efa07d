"""What stands in maps and class images where there is no value."""

NODATA = 255
WIDE_NODATA = 65535  # of layers in hundredths of a percent, which need two bytes
# Values of the class image that areas are counted over, beside the product's own; never written to a map.
NO_IMAGERY = 251
TOO_FEW_OBSERVATIONS = 252
FAILED = 253
