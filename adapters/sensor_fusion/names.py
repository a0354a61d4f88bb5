"""Names that several files of the adapter share."""

SENSORS = ("gyroscope", "accelerometer", "magnetometer")  # three columns each of samples (samples, 9)
INTEGRATOR = "integrator"  # the stream of the attitude that the trunk corrects
FILTER = "filter"  # the stream of how the filter stands
