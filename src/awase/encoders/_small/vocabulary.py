"""The tokenizer of the small encoder: the words of the captions it will be trained on.

One token is one word or mark, so a word score is one attribution. Words are lower-cased and in
compatibility form (NFKC), which turns full-width letters into plain ones and leaves accents and voicing
marks alone. Where a script puts no blanks between words, every Han and hiragana character and every run of
katakana is a token. Left out: subwords, so a word that no caption holds is unknown, and says so.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from awase.encoders._tokens import set_ends
from awase.errors import DataError

PAD, START, END, UNKNOWN = range(4)
_SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
_UNSPACED = r"[\p{Han}々〆]|\p{Hiragana}|[\p{Katakana}ー]+"


def learn_words(captions: Iterable[str], *, size: int, least: int) -> Tokenizer:
    """A word-level tokenizer of the words of some captions, the frequent ones first.

    Args:
        captions: training captions.
        size: number of ids at most, the four special ones included.
        least: a word must occur so often.

    Raises:
        DataError: no word is left.

    Example:
        >>> learn_words(["A red bolt.", "赤いボルト"], size=100, least=1).encode("a RED ボルト").tokens
        ['<start>', 'a', 'red', 'ボルト', '<end>']
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    cutter = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_UNSPACED), "isolated"), pre_tokenizers.Whitespace()]
    )
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(word for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(caption)))
    frequent = sorted((-count, word) for word, count in counts.items() if count >= least)
    words = [word for _, word in frequent if word not in _SPECIAL][: size - len(_SPECIAL)]
    if not words:
        raise DataError(
            f"the captions hold no word that occurs {least} times: there is nothing to make a vocabulary of."
        )
    vocabulary = {word: index for index, word in enumerate([*_SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_SPECIAL[UNKNOWN]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cutter
    set_ends(tokenizer, first=_SPECIAL[START], last=_SPECIAL[END])
    return tokenizer
