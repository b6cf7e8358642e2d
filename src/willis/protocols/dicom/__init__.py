"""DICOM on the wire: the upper layer (``pdu``), commands (``dimse``) and small data sets (``dataset``)."""
