"""What `awase.data.parts` is made of: values and words, chance, layout, drawing, captions and their truth."""
