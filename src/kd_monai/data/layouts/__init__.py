"""From a folder or JSON file to entries: BraTS folders, MSD and nnU-Net's dataset.json, MONAI's datalist JSON.

It reads names and JSON files, and never opens an image.
"""
