"""vqcodec: neural image and audio compression that decodes exactly everywhere."""
