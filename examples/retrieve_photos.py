"""Find photos by words, and measure how well a model does that on photos with captions.

    python examples/retrieve_photos.py [ENCODER]
"""

import csv
import sys

import awase
from awase.data.table import open_pairs
