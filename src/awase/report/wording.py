"""Every sentence that reports print, in English and Japanese, whole and with its plural.

A sentence is never put together from parts: languages order words differently. Where a number decides the
form, English has (one, many) and `n` chooses; Japanese has one form. Values are put in as plain text;
escaping belongs to whoever prints the sentence.
"""

from typing import Final

from awase.errors import DataError
from awase.report import quantity
from awase.types import Language

LANGUAGES: Final[tuple[Language, ...]] = ("en", "ja")

Sentence = str | tuple[str, str]

WORDING: Final[dict[str, tuple[Sentence, str]]] = {
    # what tuning gives and costs
    "tradeoff_title": ("What tuning gives, and what it costs", "チューニングで得られるものと失われるもの"),
    "tradeoff_about": (
        "Means over {seeds} seeds with 95 % intervals (Student's t); a row without one has one value. "
        "{tested} test images, {classes} classes.",
        "{seeds} 個のシードの平均と 95 % 区間（スチューデントの t）。区間のない行は値が一つだけです。"
        "テスト画像 {tested} 枚、{classes} クラス。",
    ),
    "tradeoff_convention": (
        "AUROC and FPR{tpr}: the known classes are the positive side, higher scores mean known; FPR{tpr} is "
        "the share of unknown images let in when at least {tpr} % of the known ones are kept.",
        "AUROC と FPR{tpr}：既知のクラスを陽性とし、スコアが高いほど既知です。FPR{tpr} は既知の画像を "
        "{tpr} % 以上残すときに通してしまう未知の画像の割合です。",
    ),
    "tradeoff_main": ("At a glance (score: {score})", "一覧（スコア：{score}）"),
    "tradeoff_scores": (
        "{figure} by score, mean over the sets of unknown images",
        "スコアごとの {figure}（未知の画像のセットの平均）",
    ),
    "tradeoff_sets": (
        "{figure} by set of unknown images, score {score}",
        "未知の画像のセットごとの {figure}（スコア {score}）",
    ),
    "tradeoff_elsewhere": ("What it could do before", "チューニング前にできていたこと"),
    "tradeoff_failed": ("Not measured", "測れなかったもの"),
    "tradeoff_method": ("method", "手法"),
    "tradeoff_shots": ("shots", "枚数／クラス"),
    "tradeoff_accuracy": ("accuracy", "正解率"),
    "tradeoff_base": ("base classes", "基準クラス"),
    "tradeoff_new": ("new classes", "新しいクラス"),
    "tradeoff_harmonic": ("harmonic mean", "調和平均"),
    "tradeoff_parameters": ("parameters", "パラメータ数"),
    "tradeoff_seconds": ("fit, seconds", "学習（秒）"),
    "tradeoff_cannot": ("cannot", "不可"),
    # head
    "page_title": ("awase: words that do not fit the photo", "awase: 写真に合わない言葉"),
    "skip": ("Skip to the captions", "キャプションへ移動"),
    "headline": (
        (
            "{n} of {pairs} captions has a word that does not seem to fit its photo.",
            "{n} of {pairs} captions have a word that does not seem to fit their photo.",
        ),
        "{pairs} 件のキャプションのうち {n} 件に、写真に合わないと思われる言葉があります。",
    ),
    "headline_lowest": (
        (
            "In {n} caption the word that fits least is marked.",
            "In each of {n} captions the word that fits least is marked.",
        ),
        "{n} 件のキャプションそれぞれで、最も合わない単語に印を付けました。",
    ),
    "headline_none": (
        (
            "The one caption that was checked has no word that contradicts its photo.",
            "None of the {n} captions has a word that contradicts its photo.",
        ),
        "{n} 件のキャプションに、写真と矛盾する言葉は見つかりませんでした。",
    ),
    "headline_scores": (
        (
            "{n} caption was scored against its photo.",
            "{n} captions were scored against their photos.",
        ),
        "{n} 件のキャプションについて、写真との一致度を測りました。",
    ),
    "headline_failed": (
        ("The one caption could not be checked.", "None of the {n} captions could be checked."),
        "{n} 件のキャプションは、いずれも調べられませんでした。",
    ),
    "headline_empty": (
        "There were no captions to check.",
        "調べるキャプションがありませんでした。",
    ),
    "lede_words": (
        (
            "Every word carries a score: below zero it speaks against the photo, above zero for "
            "it. The captions that fit worst come first."
        ),
        (
            "すべての単語に点数が付いています。負の点は写真と矛盾すること、正の点は写真に合うこと"
            "を示します。合わないキャプションから順に並んでいます。"
        ),
    ),
    "lede_pairs": (
        ("Every caption carries one score for its fit to the photo. The captions that fit worst come first."),
        (
            "キャプションごとに、写真との一致度を表す点数が付いています。合わないキャプションから"
            "順に並んでいます。"
        ),
    ),
    "uncalibrated_title": ("The threshold is uncalibrated.", "しきい値は未調整です。"),
    "uncalibrated": (
        (
            "It was not fitted to this model, so how many flags are right is unknown: use the "
            "order of the captions rather than the number of flags. With labelled pairs, “awase "
            "check calibrate” finds a threshold for the precision you want."
        ),
        (
            "このモデルに合わせて決めた値ではないため、指摘のうちどれだけが正しいかは分かりません"
            "。指摘の件数よりも並び順を参考にしてください。正解の付いたデータがあれば、「awase "
            "check calibrate」で望む適合率に合うしきい値を求められます。"
        ),
    ),
    # tiles
    "tile_pairs": (
        ("caption checked", "captions checked"),
        "調べた文",
    ),
    "tile_flagged": (
        ("caption flagged", "captions flagged"),
        "指摘のある文",
    ),
    "tile_words": (
        ("word that does not fit", "words that do not fit"),
        "合わない単語",
    ),
    "tile_errors": (
        ("row with an error", "rows with an error"),
        "エラーの行",
    ),
    "tile_truncated": (
        ("caption cut short", "captions cut short"),
        "途中までの文",
    ),
    "tile_share": ("{share} of all", "全体の {share}"),
    # facts
    "fact_model": ("Model", "モデル"),
    "fact_method": ("Method", "手法"),
    "fact_threshold": ("Threshold", "しきい値"),
    "fact_rule": ("Flags", "指摘の付け方"),
    "rule_lowest": ("the lowest word of every caption", "各キャプションの最も低い単語"),
    "fact_segmenter": ("Words found by", "単語の区切り"),
    "fact_template": ("Read as", "読み込みの形"),
    "fact_date": ("Date", "日時"),
    "fact_version": ("awase", "awase"),
    "fact_data": ("Data", "データ"),
    "template_none": ("the caption alone", "キャプションのみ"),
    "template_filled": ("{template}[caption]", "{template}[キャプション]"),
    "threshold_calibrated": ("{value}, calibrated ({source})", "{value}（調整済み: {source}）"),
    "threshold_uncalibrated": ("{value}, uncalibrated", "{value}（未調整）"),
    "provenance": ("Everything needed to repeat this run", "この結果を再現するための情報"),
    "provenance_none": (
        "This run brought no provenance.",
        "この実行には来歴の記録がありません。",
    ),
    # guide
    "guide": ("How to read this page", "このページの読み方"),
    "guide_flagged": (
        (
            "A wavy underline marks a word the model finds to contradict the photo: its score "
            "lies below the threshold. It is a suggestion to look, not a verdict."
        ),
        (
            "波線の単語は、点数がしきい値を下回り、モデルが写真と矛盾すると見なしたものです。確定"
            "ではなく、確認の目安です。"
        ),
    ),
    "guide_flagged_lowest": (
        (
            "A wavy underline marks the word with the lowest score of its caption. Every caption has "
            "one, also a caption that is right."
        ),
        ("波線は、各キャプションで点数が最も低い単語です。正しいキャプションにも必ず一つ付きます。"),
    ),
    "guide_tint": (
        (
            "The tint shows the score of every word, on one scale for the whole page: orange "
            "speaks against the photo, blue for it, no colour says little either way."
        ),
        (
            "色は単語の点数を示します。ページ全体で同じ尺度です。橙は写真と矛盾する、青は写真に合"
            "う、無色はどちらとも言えないことを表します。"
        ),
    ),
    "guide_unscored": (
        (
            "Dotted grey words were not judged: the model does not know them, or they lay beyond "
            "the length it can read."
        ),
        "灰色の点線の単語は判定していません。モデルが知らない単語か、読める長さを超えた部分です。",
    ),
    "guide_score": (
        (
            "The score of a caption adds up its flagged words, so 0 means that nothing was "
            "flagged and lower is worse. CLIPScore compares photo and caption as a whole; higher "
            "is better."
        ),
        (
            "キャプションの点数は、指摘された単語の点数を合わせたものです。0 は指摘なし、低いほど"
            "悪いことを示します。CLIPScore は写真と文全体の一致度で、高いほど良い値です。"
        ),
    ),
    "guide_pairs": (
        (
            "The score says how well photo and caption fit as a whole; higher is better. This "
            "method does not judge single words."
        ),
        "点数は写真と文全体の一致度で、高いほど良い値です。この手法は単語ごとの判定をしません。",
    ),
    "guide_unit": (
        "Word scores are printed in units of {unit}.",
        "単語の点数の単位は {unit} です。",
    ),
    "scale_against": ("contradicts the photo", "写真と矛盾"),
    "scale_with": ("fits the photo", "写真に合う"),
    "guide_keys_pairs": (
        "Keys: / searches, J and K step through the captions, G changes the view.",
        "キー操作: / 検索、J と K 前後のキャプション、G 表示の切り替え。",
    ),
    "guide_keys": (
        ("Keys: / searches, J and K step through the captions, G changes the view, N shows all numbers."),
        "キー操作: / 検索、J と K 前後のキャプション、G 表示の切り替え、N 点数の表示。",
    ),
    # figures
    "figure_words": ("Scores of all words", "すべての単語の点数"),
    "figure_words_text": (
        (
            "Distribution of {n} word score, from {low} to {high}. Most lie near {middle}.",
            ("Distribution of {n} word scores, from {low} to {high}. Half of them lie below {middle}."),
        ),
        "{n} 語の点数の分布。{low} から {high} まで、中央はおよそ {middle} です。",
    ),
    "figure_clip": ("CLIPScore of all captions", "すべてのキャプションの CLIPScore"),
    "figure_clip_text": (
        (
            "Distribution of {n} CLIPScore, from {low} to {high}. It lies near {middle}.",
            ("Distribution of {n} CLIPScores, from {low} to {high}. Half of them lie below {middle}."),
        ),
        "{n} 件の CLIPScore の分布。{low} から {high} まで、中央はおよそ {middle} です。",
    ),
    "figure_threshold": ("threshold {value}", "しきい値 {value}"),
    "figure_below": (
        ("{n} word flagged", "{n} words flagged"),
        "指摘 {n} 語",
    ),
    "figure_partial": (
        "Only the captions shown here are counted.",
        "ここに表示したものだけを数えています。",
    ),
    "figure_ends": (
        "The outermost bars also hold what lies beyond.",
        "両端の棒には範囲外の値も含みます。",
    ),
    # toolbar
    "captions": ("Captions", "キャプション"),
    "shown_part": (
        (
            "The worst {shown} of {n} pair is shown here; the results file holds it all.",
            "The worst {shown} of {n} pairs are shown here; the results file holds all of them.",
        ),
        ("全 {n} 組のうち、合わないものから {shown} 組だけを表示しています。残りは結果ファイルにあります。"),
    ),
    "shown_all": (
        ("The one pair is shown.", "All {n} pairs are shown."),
        "全 {n} 組を表示しています。",
    ),
    "search": ("Search captions, words, ids", "キャプション・単語・ID を検索"),
    "show": ("Show", "表示"),
    "show_all": ("All", "すべて"),
    "show_flagged": ("Flagged", "指摘あり"),
    "show_clear": ("Not flagged", "指摘なし"),
    "show_scored": ("Scored", "点数あり"),
    "show_errors": ("Errors", "エラー"),
    "show_truncated": ("Cut short", "途中まで"),
    "sort": ("Sort by", "並べ替え"),
    "sort_worst": ("Worst first", "合わない順"),
    "sort_score": ("Score", "点数"),
    "sort_clip": ("CLIPScore", "CLIPScore"),
    "sort_word": ("Lowest word", "最も低い単語"),
    "sort_id": ("Id", "ID"),
    "sort_input": ("Input order", "入力順"),
    "reverse": ("Reverse the order", "順序を逆にする"),
    "view": ("View", "表示形式"),
    "view_list": ("List", "一覧"),
    "view_grid": ("Grid", "格子"),
    "numbers": ("All numbers", "すべての点数"),
    "matches": (
        ("# of {n} pair", "# of {n} pairs"),
        "{n} 組中 # 組",
    ),
    "no_match": (
        "No caption matches. Clear the search or show all.",
        "一致するキャプションがありません。検索を消すか「すべて」を選んでください。",
    ),
    # cards
    "card_wrong": (
        ("Does not fit:", "Do not fit:"),
        "写真に合わない単語:",
    ),
    "card_clear": ("Nothing flagged", "指摘なし"),
    "card_lowest": ("lowest word: {word} {score}", "最も低い単語: {word} {score}"),
    "card_score": ("Score", "点数"),
    "card_clip": ("CLIPScore", "CLIPScore"),
    "card_image": ("Photo", "写真"),
    "card_photo": ("Photo of pair {id}", "組 {id} の写真"),
    "card_no_photo": ("no photo to show", "写真なし"),
    "card_no_caption": ("(empty caption)", "（空のキャプション）"),
    "badge_truncated": ("cut short", "途中まで"),
    "badge_error": ("error", "エラー"),
    "word_flagged": ("does not fit, score {score}", "写真に合わない、点数 {score}"),
    "word_exact": ("score {score}", "点数 {score}"),
    "word_beyond": (
        "Not judged: this lies beyond the length the model can read.",
        "未判定: モデルが読める長さを超えた部分です。",
    ),
    "word_unknown": (
        "Not judged: the model does not know this word.",
        "未判定: モデルが知らない単語です。",
    ),
    "caption_more": (
        (
            "… and {n} more character that is not shown",
            "… and {n} more characters that are not shown",
        ),
        "… 残り {n} 文字は表示していません",
    ),
    "card_cut": (
        (
            "The model could not read the last word of this caption.",
            "The model could not read the last {n} words of this caption.",
        ),
        "モデルはこのキャプションの終わりの {n} 語を読めませんでした。",
    ),
    "card_cut_some": (
        "The model could not read this caption to its end.",
        "モデルはこのキャプションを最後まで読めませんでした。",
    ),
    # errors by code
    "error_missing_image": ("The photo was not found.", "写真が見つかりません。"),
    "error_unreadable_image": ("The photo cannot be read.", "写真を読み込めません。"),
    "error_unsafe_image": (
        "The photo was refused: too large, or not a photo format that is read.",
        "写真を受け付けません。大きすぎるか、対応していない形式です。",
    ),
    "error_empty_caption": ("The caption is empty.", "キャプションが空です。"),
    "error_bad_caption": (
        "The caption is not usable text.",
        "キャプションが使える文字列ではありません。",
    ),
    "error_bad_row": ("The row cannot be read.", "行を読み込めません。"),
    "error_bad_features": (
        "The model gave no usable answer for this pair.",
        "モデルがこの組に使える値を返しませんでした。",
    ),
    "error_alignment": (
        "The words could not be located in the caption.",
        "キャプションの中に単語の位置を特定できません。",
    ),
    "error_other": ("This pair could not be checked.", "この組は調べられませんでした。"),
    # footer, notebook, Markdown
    "made_by": (
        "Made by awase. This page is one file, holds its photos, loads nothing and sends nothing.",
        "awase が作成しました。写真を含む単独のファイルで、何も読み込まず、何も送信しません。",
    ),
    "rows_more": (
        ("{n} more row is not shown", "{n} more rows are not shown"),
        "ほか {n} 行は表示していません",
    ),
    "column_caption": ("Caption", "キャプション"),
    "column_wrong": ("Does not fit", "合わない単語"),
    "column_id": ("Id", "ID"),
    "worst_rows": ("The worst captions", "最も合わないキャプション"),
}

EXAMPLE: Final[dict[Language, tuple[tuple[str, float | None], ...]]] = {
    "en": (
        ("A", 0.05),
        (" ", 0.0),
        ("small", 0.3),
        (" ", 0.0),
        ("dog", 0.8),
        (" ", 0.0),
        ("catches", 0.4),
        (" a ", 0.0),
        ("red", -0.9),
        (" ", 0.0),
        ("frisbee", 0.6),
        (" in ", 0.0),
        ("Tórshavn", None),
    ),
    "ja": (
        ("小さな", 0.3),
        ("犬", 0.8),
        ("が", 0.05),
        ("赤い", -0.9),
        ("フリスビー", 0.6),
        ("を", 0.0),
        ("トースハウン", None),
        ("で", 0.0),
        ("くわえる", 0.4),
    ),
}
"""A made-up caption that explains the marks: (text, level), None for a word that was not judged."""


class Wording:
    """The sentences of one language.

    Example:
        >>> Wording("en")("tile_pairs", n=1), Wording("en")("tile_pairs", n=2)
        ('caption checked', 'captions checked')
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise DataError(f"reports speak {' and '.join(LANGUAGES)}, got {language!r}.")
        self.language = language

    def __call__(self, key: str, **values: str | int) -> str:
        """A sentence with its values put in; whole numbers are grouped, and `n` chooses the plural.

        Example:
            >>> Wording("en")("headline", n=1, pairs=12)
            '1 of 12 captions has a word that does not seem to fit its photo.'
        """
        english, japanese = WORDING[key]
        sentence: Sentence = japanese if self.language == "ja" else english
        if isinstance(sentence, tuple):
            sentence = sentence[0 if values.get("n") == 1 else 1]
        return sentence.format_map(
            {
                name: quantity.count(value) if isinstance(value, int) else value
                for name, value in values.items()
            }
        )

    def error(self, code: str) -> str:
        """What an error code of a row means."""
        return self(f"error_{code}" if f"error_{code}" in WORDING else "error_other")
