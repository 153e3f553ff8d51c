"""Ravine in the loops of others: Lightning's Trainer and Hugging Face's. Each module needs its library, and is imported by name.

from ravine.integrations.lightning import RavineCallback, lr_range      # pip install 'ravine[lightning]'
from ravine.integrations.transformers import RavineCallback, lr_range   # pip install 'ravine[transformers]'
"""
