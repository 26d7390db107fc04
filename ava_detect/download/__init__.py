"""AVA's published files: what there is, how one comes over HTTP, how an archive is unpacked."""
