"""Medical images: DICOM and NIfTI to streams, and DICOM without who the patient is."""
