"""Notes of the cards: the English as it is written by whoever measures, and the same in Japanese."""

from typing import Final

NOTES: Final[dict[str, str]] = {
    "Images that chose the prompts and are left out: {n}.": (
        "プロンプトの選択に使ったため除いた画像：{n} 枚。"
    ),
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
