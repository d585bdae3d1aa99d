"""card.md: what a tuned model is, for people who find the folder. Names are escaped and stay text."""

from awase.cli._estimates import number
from awase.report.markdown import escape
from awase.tune._card import Card

_MOST_NAMES = 20


def card_text(card: Card) -> str:
    """The card as Markdown."""
    names = ", ".join(escape(name) for name in card.class_names[:_MOST_NAMES])
    if len(card.class_names) > _MOST_NAMES:
        names += f" and {len(card.class_names) - _MOST_NAMES} more"
    encoder = card.encoder
    place = f"{encoder.adapter}:{encoder.name}".rstrip(":") if encoder else "vectors only"
    model = f"{place}, revision {encoder.revision}" if encoder and encoder.revision else place
    data = card.facts.get("data", {})
    settings = ", ".join(f"{key}={value!r}" for key, value in card.settings.items()) or "none"
    lines = [f"# {escape(card.method)} on {len(card.class_names)} classes", ""]
    facts = {
        "Encoder": f"{model}, fingerprint {card.fingerprint}",
        "Settings": settings,
        "Classes": names,
        "Templates": "; ".join(card.templates),
        "Parameters": str(card.n_parameters),
        "Seed": str(card.seed),
        "Data": f"{data.get('source', 'not recorded')}, fingerprint {data.get('fingerprint', '-')}",
    }
    if card.split is not None:
        drawn = " (no split in the data: drawn by awase)" if card.split.made_test else ""
        train, validation, test = card.split.train, card.split.validation, card.split.test
        facts["Images"] = (
            f"{len(train)} to learn from ({card.split.shots} shots), {len(validation)} to choose settings "
            f"on, {len(test)} to measure on{drawn}; ids and hashes are in card.json"
        )
    lines += [
        f"- **{name}**: {value if name == 'Classes' else escape(value)}" for name, value in facts.items()
    ]
    if card.metrics:
        lines += ["", "| figure | value | 95 % interval | n | of |", "| --- | ---: | --- | ---: | --- |"]
        for m in card.metrics:
            value, low, high = map(number, (m.value, m.low, m.high))
            lines.append(f"| {m.name} | {value} | {low} to {high} | {m.n} | {escape(m.unit)} |")
    lines += [
        "",
        "Figures hold for images like those of the data above. The weights belong to this encoder alone.",
        "",
    ]
    return "\n".join(lines)
