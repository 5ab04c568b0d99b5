"""How a frozen network runs: through torch, or through OpenVINO where that is faster and agrees with torch."""
