"""The optimizing pass: GPTQ, bias correction and ranges, layer by layer."""
