"""Names that several files of the adapter share."""

SENSORS = ("gyroscope", "accelerometer", "magnetometer")  # three columns each of samples (samples, 9)
INTEGRATOR = "integrator"  # the stream of the attitude that the trunk corrects
FILTER = "filter"  # the stream of how the filter stands
UNVERIFIED = (
    "measured on BROAD's sensor, not verified on this one: mainstem evaluate sensor-fusion tells of your own, "
    "an .npz with quat"
)
