"""What a user may choose of a recording to predict: its sensors, where they are mounted, and how it is looked at."""

from mainstem.core.task import Option

OPTIONS = (
    Option(
        name="map",
        help="A sensor as ROLE=TOPIC; roles are imu, wheel, gnss, mag, range. Example: imu=/imu/data.",
        kind="several",
    ),
    Option(name="extrinsics", help="A YAML file: of each frame translation_m (x, y, z), rotation_wxyz (w, x, y, z)."),
    Option(name="assume-identity", help="Take sensors of unknown mounting for the body's own frame.", kind="flag"),
    Option(name="msg-path", help="A folder of PACKAGE/msg/NAME.msg that a bag lacks.", kind="several"),
    Option(name="smooth", help="Look back over the whole recording.", kind="flag"),
    Option(name="verified", help="What robot selfcheck --out wrote of a recording of the same sensors."),
)
