ground = None
