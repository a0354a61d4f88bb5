"""From bytes to samples: data sets, file formats, physical units, simulators."""
