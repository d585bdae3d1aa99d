"""What numbers mean, in English and Japanese, by their names.

Whoever measures adds its own entries, sorted by name. `recall_at_{}` covers `recall_at_5`, and
`class_accuracy` covers `class_accuracy.dog`.
"""

from collections.abc import Mapping
from typing import Final

from awase.types import Language

Words = Mapping[Language, str]

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
