"""The digital twin: a site in network namespaces, with real listeners, traffic and evidence.

It drives the engine as a subprocess and by its REST; of our rooms it knows the document and its words.
"""
