"""Titles, axes and lines of figures, in English and Japanese, by the names of charts and of their lines.

Whoever draws adds its own entries, sorted by name.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from awase.report.words_estimates import Words
from awase.types import Language


class ChartWords(NamedTuple):
    """Title and axes of a figure, and how it is to be read, in one or two sentences."""

    title: str
    x_label: str
    y_label: str
    about: str = ""


CHARTS: Final[dict[str, Mapping[Language, ChartWords]]] = {
    "class_accuracy": {
        "en": ChartWords(
            "Accuracy by class",
            "class",
            "share of the class's images that are right",
            "The lowest first; lines are 95 % intervals (Wilson). Of many classes the 20 lowest and the "
            "20 highest are shown.",
        ),
        "ja": ChartWords(
            "クラス別の正解率",
            "クラス",
            "そのクラスの画像のうち正解した割合",
            "低い順です。線は 95 % 区間（ウィルソン）です。クラスが多いときは低い 20 個と高い 20 "
            "個を示します。",
        ),
    },
    "confidence": {
        "en": ChartWords(
            "How sure the model is, when right and when wrong",
            "confidence (probability of the answer)",
            "images",
            "The less the two overlap, the better a threshold on confidence keeps wrong answers out.",
        ),
        "ja": ChartWords(
            "正解と誤答での確信度",
            "確信度（回答の確率）",
            "画像数",
            "二つの重なりが小さいほど、確信度のしきい値で誤答をよく除けます。",
        ),
    },
    "confusion": {
        "en": ChartWords(
            "Which class is taken for which",
            "answer",
            "true class",
            "Share of each class's images by answer: rows sum to 1, and the diagonal is right.",
        ),
        "ja": ChartWords(
            "クラスの混同",
            "回答",
            "正解のクラス",
            "各クラスの画像がどのクラスと答えられたかの割合です。行の和は 1 で、対角線が正解です。",
        ),
    },
    "prompt_accuracy": {
        "en": ChartWords(
            "Accuracy on images that had no say in the choice",
            "prompts",
            "share of the images that are right",
            "Lines are 95 % intervals (Wilson). The interval of the difference is tighter than they look.",
        ),
        "ja": ChartWords(
            "選択に使っていない画像での正解率",
            "プロンプト",
            "正解した画像の割合",
            "線は 95 % 区間（ウィルソン）です。差の区間は見かけより狭くなります。",
        ),
    },
    "prompt_path": {
        "en": ChartWords(
            "Templates added one by one",
            "templates added",
            "accuracy",
            "Images that choose flatter the path; where the folds stop rising, more templates do not help.",
        ),
        "ja": ChartWords(
            "テンプレートを一つずつ加えたときの正解率",
            "加えたテンプレートの数",
            "正解率",
            "選択に使う画像では甘めに出ます。交差検証の値が伸びなくなれば、追加しても効果はありません。",
        ),
    },
    "prompt_searches": {
        "en": ChartWords(
            "Ways to choose, on folds of the images that choose",
            "search",
            "accuracy on kept-out folds",
            "The best of these was taken. None is a figure of what to expect.",
        ),
        "ja": ChartWords(
            "探索方法の比較（交差検証）",
            "探索方法",
            "交差検証での正解率",
            "最良のものを採用しています。新しい画像での性能を示す値ではありません。",
        ),
    },
    "recall_by_k": {
        "en": ChartWords(
            "How far down is the right answer?",
            "answers looked at (k)",
            "share of queries with a right answer among them",
            "The higher and the further left, the better. By chance is the line of a guess, for captions.",
        ),
        "ja": ChartWords(
            "正解は上位何件までに見つかるか",
            "見る件数（k）",
            "正解が含まれるクエリの割合",
            "左上にあるほど良い結果です。「偶然」はキャプションから画像を無作為に選んだ場合です。",
        ),
    },
    "reliability": {
        "en": ChartWords(
            "Does confidence mean what it says?",
            "confidence (probability of the answer)",
            "accuracy",
            "On the diagonal it does. Below it the model is surer than it should be, above it less sure. "
            "Lines are 95 % intervals.",
        ),
        "ja": ChartWords(
            "確信度は信頼できるか",
            "確信度（回答の確率）",
            "正解率",
            "対角線上にあれば信頼できます。下なら自信過剰、上なら自信不足です。線は 95 % 区間です。",
        ),
    },
    "dev_recall": {
        "en": ChartWords(
            "Retrieval on the dev pairs while training",
            "step",
            "recall at 1",
            "Higher is better. A curve that falls again says that training went on for too long.",
        ),
        "ja": ChartWords(
            "学習中の開発データでの検索性能",
            "ステップ",
            "1位の再現率",
            "高いほど良い。途中から下がる場合は学習のしすぎを示す。",
        ),
    },
    "training_loss": {
        "en": ChartWords(
            "Loss while training",
            "step",
            "loss (nats)",
            "Lower is better, on the pairs that were learned from.",
        ),
        "ja": ChartWords(
            "学習中の損失", "ステップ", "損失（nats）", "低いほど良い。学習に使ったペアでの値。"
        ),
    },
    "any_false_negative": {
        "en": ChartWords(
            "How often a batch punishes a right pair",
            "pairs in a batch",
            "chance that a pair meets a false negative",
            "Larger batches hold more pairs that are right and count as wrong. Each line is "
            "another way to tell; none but labels is the truth.",
        ),
        "ja": ChartWords(
            "バッチ内で正しい組が不正解とみなされる頻度",
            "バッチのペア数",
            "1 つ以上ある確率",
            "バッチが大きいほど増えます。線ごとに判定方法が異なり、ラベル以外は近似です。",
        ),
    },
    "completeness": {
        "en": ChartWords(
            "Share of pairs that break a margin",
            "margin asked for (cosine)",
            "share of pairs of pairs",
            "The lower and the further right the curve rises, the more the score follows what "
            "image and text share.",
        ),
        "ja": ChartWords(
            "余裕を満たさない組の割合",
            "求める余裕（コサイン）",
            "ペア同士の割合",
            "曲線が低く右で立ち上がるほど、スコアは画像とテキストの共通内容に従っています。",
        ),
    },
    "explained_variance": {
        "en": ChartWords(
            "In how many directions vectors vary",
            "directions, the strongest first",
            "share of the variance",
            "A curve that rises at once says that few directions carry nearly everything.",
        ),
        "ja": ChartWords(
            "ベクトルが変化する方向の数",
            "方向の数（強い順）",
            "分散の割合",
            "すぐに立ち上がる曲線は、少数の方向にほぼすべてが集まっていることを示します。",
        ),
    },
    "label_margins": {
        "en": ChartWords(
            "How far the right item is ahead of the best item of another label",
            "margin (cosine)",
            "share of pairs",
            "As above, with items of the same label left out: they are not wrong.",
        ),
        "ja": ChartWords(
            "正解が他ラベルの最良の項目をどれだけ上回るか",
            "余裕（コサイン）",
            "ペアの割合",
            "同じラベルの項目は不正解とみなさず除いています。",
        ),
    },
    "loss_floor": {
        "en": ChartWords(
            "Loss that even perfect vectors have",
            "pairs in a batch",
            "loss (nats, one direction)",
            "What training reports is worth comparing only above this line.",
        ),
        "ja": ChartWords(
            "完全なベクトルでも残る損失",
            "バッチのペア数",
            "損失（nats、片方向）",
            "学習の損失は、この線を超えた分だけを比べるべきです。",
        ),
    },
    "margins": {
        "en": ChartWords(
            "How far the right item is ahead of the best wrong one",
            "margin (cosine)",
            "share of pairs",
            "Right of 0 the pair is found. Pairs that only just win are lost when the wording or "
            "the photos change a little.",
        ),
        "ja": ChartWords(
            "正解が最良の不正解をどれだけ上回るか",
            "余裕（コサイン）",
            "ペアの割合",
            "0 より右なら正しく検索できます。0 に近いペアは、文や画像が少し変わると失われます。",
        ),
    },
    "safe_temperature": {
        "en": ChartWords(
            "Largest safe temperature",
            "pairs in a batch",
            "temperature",
            "Below a line, that quantile of the margins is enough for the batch size. Where the "
            "temperature in use lies above it, wrong items still shape the loss.",
        ),
        "ja": ChartWords(
            "安全な温度の上限",
            "バッチのペア数",
            "温度",
            "線より低い温度なら、その分位点の余裕で足ります。使用中の温度が線より上なら、"
            "不正解がまだ損失に影響します。",
        ),
    },
    "transfer_bound": {
        "en": ChartWords(
            "Bound on the error, and the error",
            "temperature",
            "share of queries",
            "The bound follows from the loss and always holds; above 1 it says nothing.",
        ),
        "ja": ChartWords(
            "誤り率の上限と実際の誤り率",
            "温度",
            "問い合わせの割合",
            "上限は損失から導かれ常に成り立ちます。1 を超えると意味がありません。",
        ),
    },
}
"""Each figure by the name of its chart."""

LABELS: Final[dict[str, Words]] = {
    "chance": {"en": "by chance", "ja": "偶然"},
    "after_fit": {"en": "after temperature scaling", "ja": "温度調整後"},
    "as_it_came": {"en": "as the model came", "ja": "調整前のモデル"},
    "baseline": {"en": "without a search", "ja": "探索なし"},
    "chosen_prompts": {"en": "chosen prompts", "ja": "選ばれたプロンプト"},
    "kept_out_folds": {"en": "folds that were kept out", "ja": "交差検証"},
    "right_answers": {"en": "right answers", "ja": "正解"},
    "selection_images": {"en": "images that choose", "ja": "選択に使う画像"},
    "uniform": {"en": "all templates alike", "ja": "全テンプレートの平均"},
    "wrong_answers": {"en": "wrong answers", "ja": "誤答"},
    "kept step": {"en": "kept step", "ja": "採用したステップ"},
    "loss": {"en": "loss", "ja": "損失"},
    "alpha": {"en": "share that breaks it", "ja": "満たさない割合"},
    "batch_size": {"en": "batch in question", "ja": "対象のバッチ"},
    "bound.image_to_text": {"en": "bound, image to text", "ja": "上限、画像からテキスト"},
    "bound.text_to_image": {"en": "bound, text to image", "ja": "上限、テキストから画像"},
    "bound.zero_shot": {"en": "bound", "ja": "上限"},
    "equal_captions": {"en": "equal caption", "ja": "同一キャプション"},
    "error.image_to_text": {"en": "error, image to text", "ja": "誤り率、画像からテキスト"},
    "error.text_to_image": {"en": "error, text to image", "ja": "誤り率、テキストから画像"},
    "error.zero_shot": {"en": "error", "ja": "誤り率"},
    "image_to_text": {"en": "image to text", "ja": "画像からテキスト"},
    "images": {"en": "images", "ja": "画像"},
    "labels": {"en": "same label", "ja": "同じラベル"},
    "margin_quantile_{}": {"en": "margin at quantile {0}", "ja": "余裕の分位点 {0}"},
    "no_margin": {"en": "no margin", "ja": "余裕なし"},
    "nouns": {"en": "same nouns", "ja": "同じ名詞"},
    "outscored": {"en": "scored as high", "ja": "同等以上の類似度"},
    "similar_captions": {"en": "similar caption", "ja": "類似キャプション"},
    "temperature": {"en": "temperature in use", "ja": "使用中の温度"},
    "temperature_in_use": {"en": "temperature in use", "ja": "使用中の温度"},
    "text_to_image": {"en": "text to image", "ja": "テキストから画像"},
    "texts": {"en": "texts", "ja": "テキスト"},
}
"""Lines and marks of figures."""

NAMED_BY_DATA: Final = frozenset({"class_accuracy"})
"""Charts whose lines have names out of the data: no words of ours, even where they look like them."""
