"""Pictures on a device, by torch: what image.codec does in numpy, piece by piece, arrays in and arrays out.

On the device are analysis, prior, choice of codes (through the kernels), dequantisation and synthesis; the entropy
coder is on the CPU, as is what effort 6 and more reads off finished codes. Nothing outside this folder imports it but
where a device was asked for, because torch takes its time to import; :mod:`look` does not need it.
"""
