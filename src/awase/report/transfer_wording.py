"""The words of the transfer verbs' cards and figures, in English and Japanese, by the names of what is shown.

Whoever measures adds its own entries here, sorted by name. A name that is not listed is shown as it is, so
nothing fails for want of a word. Numbers and parts of a name are found by themselves: `recall_at_{}` covers
`recall_at_5`, and `class_accuracy` covers `class_accuracy.dog`.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from awase.types import Language


class ChartWords(NamedTuple):
    """Title and axes of a figure, and how it is to be read, in one or two sentences."""

    title: str
    x_label: str
    y_label: str
    about: str = ""


Words = Mapping[Language, str]

PHRASES: Final[dict[str, Words]] = {
    "best_caption": {"en": "its nearest caption", "ja": "正しいキャプション（最も近いもの）"},
    "caption": {"en": "caption", "ja": "キャプション"},
    "first_caption": {"en": "caption that stands first", "ja": "1 位のキャプション"},
    "first_photo": {"en": "photo that stands first", "ja": "1 位の画像"},
    "photo": {"en": "photo", "ja": "画像"},
    "place": {"en": "place of the right one", "ja": "正解の順位"},
    "right_and_first_score": {"en": "cosine: right / first", "ja": "コサイン：正解 / 1 位"},
    "worst_captions": {"en": "Captions whose photo is found last", "ja": "画像が見つかりにくいキャプション"},
    "worst_photos": {"en": "Photos whose captions are found last", "ja": "キャプションが見つかりにくい画像"},
    "accuracy": {"en": "accuracy", "ja": "正解率"},
    "class": {"en": "class", "ja": "クラス"},
    "classify_title": {"en": "Zero-shot classification", "ja": "ゼロショット分類"},
    "explain_title": {"en": "Why zero-shot works, or does not", "ja": "ゼロショットの成否の理由"},
    "files": {"en": "Files", "ja": "ファイル"},
    "figures": {"en": "Figures", "ja": "図"},
    "images": {"en": "images", "ja": "枚数"},
    "interval": {"en": "95 % interval", "ja": "95 % 区間"},
    "mistaken_for": {"en": "most often taken for", "ja": "最も多い誤答"},
    "mixed_classes": {"en": "Classes that are mixed up most", "ja": "混同の多いクラス"},
    "measure": {"en": "figure", "ja": "指標"},
    "n": {"en": "n", "ja": "件数"},
    "no_value": {"en": "n/a", "ja": "なし"},
    "notes": {"en": "What to know", "ja": "注意点"},
    "numbers": {"en": "Numbers", "ja": "数値"},
    "of": {"en": "of", "ja": "単位"},
    "prompts_title": {"en": "Prompt search", "ja": "プロンプトの探索"},
    "provenance": {"en": "How to repeat it", "ja": "再現に必要な情報"},
    "retrieve_title": {"en": "Retrieval between photos and captions", "ja": "画像とキャプションの相互検索"},
    "share": {"en": "share of the class", "ja": "クラス内の割合"},
    "taken_for": {"en": "taken for", "ja": "誤答"},
    "to": {"en": "to", "ja": "〜"},
    "value": {"en": "value", "ja": "値"},
    "worst_classes": {"en": "Classes with the lowest accuracy", "ja": "正解率の低いクラス"},
    "pairs_title": {"en": "Model trained on photos and captions", "ja": "画像とキャプションで学習したモデル"},
}
"""Headings of every card."""

ESTIMATES: Final[dict[str, Words]] = {
    "accuracy": {
        "en": "Accuracy with the chosen prompts",
        "ja": "選ばれたプロンプトでの正解率",
    },
    "accuracy.baseline": {
        "en": "Accuracy without a search",
        "ja": "探索なしの正解率",
    },
    "accuracy.gain": {
        "en": "What the search gains, image by image",
        "ja": "探索による正解率の向上（画像ごとの差）",
    },
    "accuracy.gain_over_uniform": {
        "en": "What the search gains over all templates alike",
        "ja": "全テンプレートの平均に対する向上",
    },
    "accuracy.uniform": {
        "en": "Accuracy with all templates alike",
        "ja": "全テンプレートを平均したときの正解率",
    },
    "brier": {
        "en": "Brier score (0 is best, 2 worst)",
        "ja": "ブライアスコア（0 が最良、2 が最悪）",
    },
    "brier_after": {
        "en": "Brier score after temperature scaling",
        "ja": "温度調整後のブライアスコア",
    },
    "draws.gain": {
        "en": "Gain when other images choose (smallest to largest)",
        "ja": "選択用画像を変えたときの向上（最小〜最大）",
    },
    "ece": {
        "en": "Calibration error (ECE): how far confidence and accuracy lie apart",
        "ja": "較正誤差（ECE）：確信度と正解率のずれ",
    },
    "ece_after": {
        "en": "Calibration error after temperature scaling",
        "ja": "温度調整後の較正誤差（ECE）",
    },
    "ece_floor": {
        "en": "Calibration error that chance alone would show",
        "ja": "完全に較正されていても偶然生じる較正誤差",
    },
    "ece_floor_after": {
        "en": "Calibration error that chance alone would show, after temperature scaling",
        "ja": "完全に較正されていても偶然生じる較正誤差（温度調整後）",
    },
    "fitted_temperature": {
        "en": "Temperature that makes the labels most likely",
        "ja": "正解の尤度を最大にする温度",
    },
    "map_at_r.image_to_text": {
        "en": "Mean average precision: how well the captions of a photo fill the first places (mAP@R)",
        "ja": "平均適合率：その画像のキャプションが上位をどれだけ占めるか（mAP@R）",
    },
    "map_at_r.text_to_image": {
        "en": "Mean average precision of finding the photo of a caption (mAP@R; the same as recall at 1)",
        "ja": "キャプションから画像を探すときの平均適合率（mAP@R。1 位の再現率と同じ）",
    },
    "mean_class_accuracy": {
        "en": "Accuracy, each class counting alike",
        "ja": "クラスごとの正解率の平均",
    },
    "mean_class_accuracy.gain": {
        "en": "What the search gains, each class counting alike",
        "ja": "クラスごとの正解率の平均の向上",
    },
    "mean_class_accuracy.gain_over_uniform": {
        "en": "What the search gains over all templates alike, each class counting alike",
        "ja": "全テンプレートの平均に対する、クラスごとの正解率の平均の向上",
    },
    "mean_confidence": {
        "en": "How sure the model is of its answer, on average",
        "ja": "回答の確信度の平均",
    },
    "mean_confidence_after": {
        "en": "How sure the model is of its answer after temperature scaling",
        "ja": "温度調整後の確信度の平均",
    },
    "median_rank.image_to_text": {
        "en": "Middle place of a photo's best caption, 1 is best",
        "ja": "その画像の最良のキャプションの順位の中央値（1 が最良）",
    },
    "median_rank.text_to_image": {
        "en": "Middle place of a caption's photo, 1 is best",
        "ja": "キャプションに対応する画像の順位の中央値（1 が最良）",
    },
    "nll": {
        "en": "Loss: mean negative log-likelihood of the true class",
        "ja": "損失：正解クラスの負の対数尤度の平均",
    },
    "nll_after": {
        "en": "Loss after temperature scaling",
        "ja": "温度調整後の損失",
    },
    "recall_at_{}.image_to_text": {
        "en": "Photos with a caption of theirs among the first {0}",
        "ja": "上位 {0} 件に正しいキャプションがある画像の割合",
    },
    "recall_at_{}.image_to_text.before": {
        "en": "Photos with a caption of theirs among the first {0}, before training",
        "ja": "上位 {0} 件に正しいキャプションがある画像の割合（学習前）",
    },
    "recall_at_{}.image_to_text.gain": {
        "en": "Photos with a caption of theirs among the first {0}, gain by training",
        "ja": "上位 {0} 件に正しいキャプションがある画像の割合（学習による増分）",
    },
    "recall_at_{}.text_to_image": {
        "en": "Captions whose photo is among the first {0}",
        "ja": "上位 {0} 件に正しい画像があるキャプションの割合",
    },
    "recall_at_{}.text_to_image.before": {
        "en": "Captions whose photo is among the first {0}, before training",
        "ja": "上位 {0} 件に正しい画像があるキャプションの割合（学習前）",
    },
    "recall_at_{}.text_to_image.gain": {
        "en": "Captions whose photo is among the first {0}, gain by training",
        "ja": "上位 {0} 件に正しい画像があるキャプションの割合（学習による増分）",
    },
    "rsum": {
        "en": "All recalls together, in per cent (rsum)",
        "ja": "再現率の合計（rsum、%）",
    },
    "selection.accuracy": {
        "en": "Accuracy on the images that chose (flattered)",
        "ja": "選択に使った画像での正解率（甘めに出る）",
    },
    "selection.kept_out": {
        "en": "The same on folds that were kept out (of the best search, so still flattered)",
        "ja": "交差検証での正解率（最良の探索の値なので甘めに出る）",
    },
    "tied.image_to_text": {
        "en": "Photos whose best caption scores exactly like a wrong one",
        "ja": "最良のキャプションと誤ったものが同点になる画像の割合",
    },
    "tied.text_to_image": {
        "en": "Captions whose photo scores exactly like a wrong one",
        "ja": "正しい画像と誤った画像が同点になるキャプションの割合",
    },
    "top_1_accuracy": {
        "en": "Accuracy: right at the first guess",
        "ja": "正解率（最初の回答が正しい割合）",
    },
    "top_{}_accuracy": {
        "en": "Right among the first {0} guesses",
        "ja": "上位 {0} 件に正解が含まれる割合",
    },
    "top_{}_error_bound": {
        "en": "What the loss allows at most: share of images whose class is not among the first {0}",
        "ja": "損失から導かれる誤り率の上限（上位 {0} 件に正解がない割合）",
    },
    "alignment": {
        "en": "Alignment: squared distance of an image and its text (0 is best)",
        "ja": "整列度：画像とテキストの二乗距離（0 が最良）",
    },
    "any_false_negative.counted": {
        "en": "Chance that a pair meets at least one of them (by label, counted in drawn batches)",
        "ja": "そのような組が 1 つ以上ある確率（ラベルによる、抽出したバッチでの実測）",
    },
    "any_false_negative.equal_captions": {
        "en": "Chance that a pair meets at least one of them (by equal captions)",
        "ja": "そのような組が 1 つ以上ある確率（同一キャプションによる）",
    },
    "any_false_negative.labels": {
        "en": "Chance that a pair meets at least one of them (by label)",
        "ja": "そのような組が 1 つ以上ある確率（ラベルによる）",
    },
    "any_false_negative.nouns": {
        "en": "Chance that a pair meets at least one of them (by equal nouns)",
        "ja": "そのような組が 1 つ以上ある確率（同一の名詞集合による）",
    },
    "any_false_negative.outscored": {
        "en": "Chance that a pair meets at least one of them (by what the model scores as high)",
        "ja": "そのような組が 1 つ以上ある確率（モデルの類似度による）",
    },
    "any_false_negative.similar_captions": {
        "en": "Chance that a pair meets at least one of them (by similar captions)",
        "ja": "そのような組が 1 つ以上ある確率（類似キャプションによる）",
    },
    "batch_excess": {
        "en": "Loss above that floor: what training could still remove",
        "ja": "下限を超える損失（学習で減らせる分）",
    },
    "batch_floor": {
        "en": "Loss of perfect vectors in the same batches",
        "ja": "同じバッチで完全なベクトルに残る損失",
    },
    "batch_loss": {
        "en": "Contrastive loss of these vectors in batches",
        "ja": "バッチでの対照損失",
    },
    "completeness_alpha_{}": {
        "en": "Share of pairs of pairs without a margin of {0}",
        "ja": "余裕 {0} を満たさないペア同士の割合",
    },
    "completeness_beta.images": {
        "en": "How much images of one label vary in their score (variance)",
        "ja": "同じラベルの画像によるスコアの分散",
    },
    "completeness_beta.texts": {
        "en": "How much texts of one label vary in their score (variance)",
        "ja": "同じラベルのテキストによるスコアの分散",
    },
    "completeness_gamma": {
        "en": "Largest margin that nearly all pairs of pairs have",
        "ja": "ほぼすべてのペア同士が満たす余裕の最大値",
    },
    "effective_rank.images": {
        "en": "Effective number of directions of the images",
        "ja": "画像ベクトルの実効次元数",
    },
    "effective_rank.texts": {
        "en": "Effective number of directions of the texts",
        "ja": "テキストベクトルの実効次元数",
    },
    "false_negatives.counted": {
        "en": "Right pairs of a batch that count as wrong, for each pair (by label, counted in "
        "drawn batches)",
        "ja": "正しいのに不正解とみなされる組の数、1 ペア当たり（ラベルによる、抽出したバッチでの実測）",
    },
    "false_negatives.equal_captions": {
        "en": "Right pairs of a batch that count as wrong, for each pair (by equal captions)",
        "ja": "正しいのに不正解とみなされる組の数、1 ペア当たり（同一キャプションによる）",
    },
    "false_negatives.labels": {
        "en": "Right pairs of a batch that count as wrong, for each pair (by label)",
        "ja": "正しいのに不正解とみなされる組の数、1 ペア当たり（ラベルによる）",
    },
    "false_negatives.nouns": {
        "en": "Right pairs of a batch that count as wrong, for each pair (by equal nouns)",
        "ja": "正しいのに不正解とみなされる組の数、1 ペア当たり（同一の名詞集合による）",
    },
    "false_negatives.outscored": {
        "en": "Right pairs of a batch that count as wrong, for each pair (by what the model scores as high)",
        "ja": "正しいのに不正解とみなされる組の数、1 ペア当たり（モデルの類似度による）",
    },
    "false_negatives.similar_captions": {
        "en": "Right pairs of a batch that count as wrong, for each pair (by similar captions)",
        "ja": "正しいのに不正解とみなされる組の数、1 ペア当たり（類似キャプションによる）",
    },
    "label_margin_not_positive.image_to_text": {
        "en": "Share without a margin, against other labels only, images finding their text (1 - R@1)",
        "ja": "余裕が 0 以下の割合（他ラベルのみとの比較）、画像からテキスト（1 - R@1）",
    },
    "label_margin_not_positive.text_to_image": {
        "en": "Share without a margin, against other labels only, texts finding their image (1 - R@1)",
        "ja": "余裕が 0 以下の割合（他ラベルのみとの比較）、テキストから画像（1 - R@1）",
    },
    "label_margin_q{}.image_to_text": {
        "en": "Margin of the right item, against other labels only, images finding their text: {0} "
        "% of the pairs lie below",
        "ja": "正解の余裕（他ラベルのみとの比較）、画像からテキスト：下位 {0} % 点",
    },
    "label_margin_q{}.text_to_image": {
        "en": "Margin of the right item, against other labels only, texts finding their image: {0} "
        "% of the pairs lie below",
        "ja": "正解の余裕（他ラベルのみとの比較）、テキストから画像：下位 {0} % 点",
    },
    "label_margin_ties.image_to_text": {
        "en": "Share of ties with a wrong item, against other labels only, images finding their text",
        "ja": "不正解と同点の割合（他ラベルのみとの比較）、画像からテキスト",
    },
    "label_margin_ties.text_to_image": {
        "en": "Share of ties with a wrong item, against other labels only, texts finding their image",
        "ja": "不正解と同点の割合（他ラベルのみとの比較）、テキストから画像",
    },
    "largest_safe_temperature": {
        "en": "Largest temperature at which wrong items hardly count",
        "ja": "不正解の影響がほぼ消える温度の上限",
    },
    "loss_floor.equal_captions": {
        "en": "Loss that perfect vectors would still have, one direction (by equal captions)",
        "ja": "完全なベクトルでも残る損失、片方向（同一キャプションによる）",
    },
    "loss_floor.labels": {
        "en": "Loss that perfect vectors would still have, one direction (by label)",
        "ja": "完全なベクトルでも残る損失、片方向（ラベルによる）",
    },
    "loss_floor.nouns": {
        "en": "Loss that perfect vectors would still have, one direction (by equal nouns)",
        "ja": "完全なベクトルでも残る損失、片方向（同一の名詞集合による）",
    },
    "loss_floor.outscored": {
        "en": "Loss that perfect vectors would still have, one direction (by what the model scores as high)",
        "ja": "完全なベクトルでも残る損失、片方向（モデルの類似度による）",
    },
    "loss_floor.similar_captions": {
        "en": "Loss that perfect vectors would still have, one direction (by similar captions)",
        "ja": "完全なベクトルでも残る損失、片方向（類似キャプションによる）",
    },
    "margin_enough": {
        "en": "Share of the pairs with at least that margin",
        "ja": "必要な余裕を持つペアの割合",
    },
    "margin_gamma": {
        "en": "Margin that nearly all pairs have (its lowest quantile)",
        "ja": "ほぼすべてのペアが持つ余裕（下位分位点）",
    },
    "margin_needed": {
        "en": "Margin that the temperature in use would need",
        "ja": "使用中の温度に必要な余裕",
    },
    "margin_not_positive.image_to_text": {
        "en": "Share without a margin, images finding their text (1 - R@1)",
        "ja": "余裕が 0 以下の割合、画像からテキスト（1 - R@1）",
    },
    "margin_not_positive.text_to_image": {
        "en": "Share without a margin, texts finding their image (1 - R@1)",
        "ja": "余裕が 0 以下の割合、テキストから画像（1 - R@1）",
    },
    "margin_q{}.image_to_text": {
        "en": "Margin of the right item, images finding their text: {0} % of the pairs lie below",
        "ja": "正解の余裕、画像からテキスト：下位 {0} % 点",
    },
    "margin_q{}.text_to_image": {
        "en": "Margin of the right item, texts finding their image: {0} % of the pairs lie below",
        "ja": "正解の余裕、テキストから画像：下位 {0} % 点",
    },
    "margin_ties.image_to_text": {
        "en": "Share of ties with a wrong item, images finding their text",
        "ja": "不正解と同点の割合、画像からテキスト",
    },
    "margin_ties.text_to_image": {
        "en": "Share of ties with a wrong item, texts finding their image",
        "ja": "不正解と同点の割合、テキストから画像",
    },
    "modality_gap": {
        "en": "Modality gap: distance between the mean image and the mean text",
        "ja": "モダリティギャップ：画像とテキストの平均間の距離",
    },
    "temperature": {
        "en": "Temperature in use",
        "ja": "使用中の温度",
    },
    "transfer_bound_{}.image_to_text": {
        "en": "Bound on the share with {0} or more wrong items as high, images finding their text",
        "ja": "不正解 {0} 件以上が正解以上となる割合の上限、画像からテキスト",
    },
    "transfer_bound_{}.text_to_image": {
        "en": "Bound on the share with {0} or more wrong items as high, texts finding their image",
        "ja": "不正解 {0} 件以上が正解以上となる割合の上限、テキストから画像",
    },
    "transfer_bound_{}.zero_shot": {
        "en": "Bound on the share with {0} or more wrong items as high, zero-shot",
        "ja": "不正解 {0} 件以上が正解以上となる割合の上限、ゼロショット",
    },
    "transfer_error_{}.image_to_text": {
        "en": "Share with {0} or more wrong items as high, images finding their text",
        "ja": "不正解 {0} 件以上が正解以上となる割合、画像からテキスト",
    },
    "transfer_error_{}.text_to_image": {
        "en": "Share with {0} or more wrong items as high, texts finding their image",
        "ja": "不正解 {0} 件以上が正解以上となる割合、テキストから画像",
    },
    "transfer_error_{}.zero_shot": {
        "en": "Share with {0} or more wrong items as high, zero-shot",
        "ja": "不正解 {0} 件以上が正解以上となる割合、ゼロショット",
    },
    "uniformity.images": {
        "en": "Uniformity of the images (lower is more spread out)",
        "ja": "画像の一様性（低いほど広がっている）",
    },
    "uniformity.texts": {
        "en": "Uniformity of the texts (lower is more spread out)",
        "ja": "テキストの一様性（低いほど広がっている）",
    },
}
"""What each number means, as a reader who knows no jargon would say it; `{}` stands for a number."""

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

NOTES: Final[dict[str, str]] = {
    "Captions that belong to more than one photo: {n}. Such a caption cannot say which is meant, and no "
    "model finds all of them.": (
        "複数の画像に付いているキャプション：{n} 件。どの画像を指すか区別できず、"
        "どのモデルでもすべては見つけられません。"
    ),
    "Guessing would find the photo of a caption first in {share} % of the cases, as there are {n} photos.": (
        "画像は {n} 枚なので、当てずっぽうで 1 位に正しい画像が来る割合は {share} % です。"
    ),
    "Recall at {k} (image to text) is left out: there are {n} items to find.": (
        "探す対象が {n} 件のため、上位 {k} 件の再現率（画像からテキスト）は省きました。"
    ),
    "Recall at {k} (text to image) is left out: there are {n} items to find.": (
        "探す対象が {n} 件のため、上位 {k} 件の再現率（テキストから画像）は省きました。"
    ),
    "Recall falls with every photo that is added ({n} photos, {m} captions here): compare only numbers of "
    "the same data.": (
        "再現率は画像が増えるほど下がります（ここでは画像 {n} 枚、キャプション {m} 件）。"
        "同じデータの数値どうしだけを比べてください。"
    ),
    "Ties, image to text: for {n} of {q} queries a wrong item is exactly as similar as the right one, and "
    "the first row wins; recall at 1 would be {r} if every tie were lost.": (
        "同点（画像からテキスト）：{q} 件中 {n} 件のクエリで、誤った項目が正解と同点です。"
        "行の順で決めていますが、同点をすべて負けとすると 1 位の再現率は {r} です。"
    ),
    "Ties, text to image: for {n} of {q} queries a wrong item is exactly as similar as the right one, and "
    "the first row wins; recall at 1 would be {r} if every tie were lost.": (
        "同点（テキストから画像）：{q} 件中 {n} 件のクエリで、誤った項目が正解と同点です。"
        "行の順で決めていますが、同点をすべて負けとすると 1 位の再現率は {r} です。"
    ),
    "With {n} photos the numbers are rough.": "画像が {n} 枚しかないため、数値は粗い目安です。",
    "Classes with fewer than {least} images, whose accuracy is rough: {n}.": (
        "画像が {least} 枚未満で正解率が粗いクラス：{n} 個。"
    ),
    "Classes without a test image, which can still be answered: {n}.": (
        "評価画像がないものの、回答にはなり得るクラス：{n} 個。"
    ),
    "Figures were not drawn: {why}": "図は作成していません：{why}",
    "Guessing among the {k} classes would be right in {share} % of the cases.": (
        "{k} クラスから当てずっぽうに選んだ場合の正解率は {share} % です。"
    ),
    "Images that could not be read and count for nothing: {n} ({codes}).": (
        "読めずに集計から除いた画像：{n} 枚（{codes}）。"
    ),
    "Every class has weights of its own, learned from its labels: they say nothing of other classes.": (
        "クラスごとに重みを学習しているため、他のクラスには使えません。"
    ),
    "Names of classes that are read: {way} (of first, all, chosen), by folds of the selection images.": (
        "クラス名の読み方：{way}（first、all、chosen のうち、選択用画像の交差検証による）。"
    ),
    "No gain is shown: the interval of the difference, {low} to {high}, holds 0.": (
        "向上は示されていません。差の区間（{low}〜{high}）は 0 を含みます。"
    ),
    "Measuring all of this data with these prompts would be flattered by images that chose.": (
        "このデータ全体をこのプロンプトで評価すると、選択に使った画像の分だけ甘めに出ます。"
    ),
    "No temperature was fitted: --calibrate-split or --calibrate-share says on which images.": (
        "温度調整は行っていません。--calibrate-split または --calibrate-share で調整用の画像を指定できます。"
    ),
    "Nothing can be said of the gain: there are too few kept-out images for an interval.": (
        "評価用の画像が少なすぎるため、向上については何も言えません。"
    ),
    "The chosen prompts do harm on kept-out images: the interval of the difference is {low} to {high}.": (
        "選ばれたプロンプトは評価用画像での正解率を下げています。差の区間は {low}〜{high} です。"
    ),
    "The chosen prompts gain on kept-out images: the interval of the difference is {low} to {high}.": (
        "選ばれたプロンプトは評価用画像での正解率を上げています。差の区間は {low}〜{high} です。"
    ),
    "The data has no splits: the test part was drawn, the same for every seed.": (
        "データに分割がないため、評価用の画像は抽選で決めました（シードによらず同じ）。"
    ),
    "{n} classes had fewer than {shots} images to choose on and gave what they had.": (
        "選択用画像が {shots} 枚に満たないクラスが {n} 個あり、ある分だけ使いました。"
    ),
    "{n} images were left out: {which}.": "除外した画像：{n} 枚（{which}）。",
    "{search} did best of {n} ways on folds of the {images} selection images.": (
        "選択用画像 {images} 枚の交差検証で、{n} 通りのうち {search} が最良でした。"
    ),
    "The calibration error is about what chance alone would show on so few images.": (
        "較正誤差は、この枚数で偶然生じる大きさと同程度です。"
    ),
    "The fitted temperature is at the limit of the search: scaling is no cure here.": (
        "温度が探索範囲の端に達しました。この場合、温度調整では改善できません。"
    ),
    "The model is right in {right} % of the cases and on average {sure} % sure.": (
        "モデルの正解率は {right} %、確信度の平均は {sure} % です。"
    ),
    "Top-{k} accuracy is left out: there are {n} classes.": "クラスが {n} 個のため、top-{k} は省きました。",
    "No dev pairs were named, so nothing says what training has changed; see --dev-split.": (
        "開発データの指定がないため、学習による変化は測っていない（--dev-split を参照）。"
    ),
    "The dev pairs chose step {step} of {steps}, so their figures flatter it; measure on test pairs.": (
        "開発データで {steps} ステップ中の {step} ステップ目を選んだため、その数値は甘めに出る。"
        "テストデータで測ること。"
    ),
    "The dev pairs chose nothing: the weights are those of the last step.": (
        "開発データは何の選択にも使っていない。重みは最後のステップのもの。"
    ),
    "The weights belong to this base alone, which is named by its hash.": (
        "重みはこの元モデル専用で、元モデルはハッシュで特定される。"
    ),
    "All images have the same label, so there are no margins between labels, and no zero-shot task.": (
        "すべての画像のラベルが同じため、ラベル間の余裕もゼロショット課題もありません。"
    ),
    "At the temperature {temperature} the bound on the error is above 1 and says nothing.": (
        "温度 {temperature} では誤り率の上限が 1 を超え、意味を持ちません。"
    ),
    "Gap is not margin: the modality gap is {gap}, the median margin {forward} from image to text "
    "and {backward} from text to image. Closing the gap may change no rank.": (
        "ギャップと余裕は別物です。モダリティギャップは {gap}、余裕の中央値は画像からテキストで "
        "{forward}、テキス"
        "トから画像で {backward} です。ギャップを閉じても順位は変わらないことがあります。"
    ),
    "Left out: the proxy {proxy} of false negatives. {why}": ("偽陰性の近似 {proxy} は省きました。{why}"),
    "No temperature is safe: the {share} quantile of the margin is {gamma}, so these pairs lose to a "
    "wrong item at any temperature.": (
        "安全な温度はありません。余裕の {share} 分位点が {gamma} で、"
        "どの温度でも不正解に負けるペアがあります。"
    ),
    "Rows that could not be read and count for nothing: {n} ({codes}).": (
        "読めずに集計から除いた行：{n} 件（{codes}）。"
    ),
    "The completeness curve is of {n} images with {m} texts, drawn of {all}.": (
        "完全性曲線は {all} 枚から抽出した {n} 枚とそのテキスト {m} 件によるものです。"
    ),
    "The features came without a logit scale, so the temperature is taken as {temperature}; give the "
    "model's own.": (
        "ロジットスケールがないため、温度を {temperature} としました。モデルの値を指定してください。"
    ),
    "The loss was measured in batches of {size}, all images there are, instead of {wanted}: the two "
    "floors are not to be compared.": (
        "損失は {wanted} ではなく全画像 {size} 枚のバッチで測りました。二つの下限は比べられません。"
    ),
    "The rate of false negatives was not counted in batches of {size}, which the {n} images do not "
    "fill; the formulas hold all the same.": (
        "画像が {n} 枚で {size} のバッチを満たさないため、偽陰性の実測は行っていません。"
        "式による値は有効です。"
    ),
    "The texts are prompts, equal within a class: margins and losses count items of other classes "
    "only, so that from image to text they are those of zero-shot classification.": (
        "テキストはクラスのプロンプトで、クラス内では同一です。"
        "余裕と損失は他クラスの項目だけを数えるため、画像からテキストの値は"
        "ゼロショット分類の値です。"
    ),
    "Without labels every image counts as a shared feature of its own.": (
        "ラベルがないため、各画像をそれぞれ別の共有特徴とみなしました。"
    ),
}
"""A note in English, with `{name}` where it differs from run to run, and the same in Japanese."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def phrase(name: str, language: Language) -> str:
    """A heading."""
    return PHRASES[name][language]


def estimate_words(name: str, language: Language) -> str:
    """What a number means; the name itself where it has no words.

    Example:
        >>> estimate_words("no_such_number", "en")
        'no_such_number'
    """
    return _found(ESTIMATES, name, language)


def label_words(label: str, language: Language, *, chart: str = "") -> str:
    """A line or a mark of a figure; the label itself, such as the name of a class, where it has no words.

    Example:
        >>> label_words("after_fit", "en"), label_words("after_fit", "en", chart="class_accuracy")
        ('after temperature scaling', 'after_fit')
    """
    return label if chart in NAMED_BY_DATA else _found(LABELS, label, language)


def chart_words(name: str, language: Language) -> ChartWords:
    """Title, axes and reading of a figure; the name as title where it has no words.

    Example:
        >>> chart_words("no_such_chart", "ja").title
        'no_such_chart'
    """
    for known in (name, name.partition(".")[0]):
        if known in CHARTS:
            words = CHARTS[known][language]
            rest = name[len(known) + 1 :]
            return words._replace(title=f"{words.title}: {rest}") if rest else words
    return ChartWords(name, "", "")


def note_words(note: str, language: Language) -> str:
    """A note in the language; as it is where nobody has translated it.

    Example:
        >>> note_words("anything", "ja")
        'anything'
    """
    if language == "en":
        return note
    for english, japanese in NOTES.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(english))
        if found := re.fullmatch(pattern, note, re.DOTALL):
            return japanese.format_map(found.groupdict())
    return note


def _found(table: Mapping[str, Words], name: str, language: Language) -> str:
    known, rest = name, ""
    while True:
        numbered = _NUMBER.sub("{}", known)
        for key in (known, numbered):
            if key in table:
                words = table[key][language]
                words = words.format(*_NUMBER.findall(known)) if key == numbered else words
                return f"{words}: {rest}" if rest else words
        known, dot, last = known.rpartition(".")
        if not dot:
            return name
        rest = f"{last}.{rest}" if rest else last
