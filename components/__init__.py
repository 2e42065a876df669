"""Our TFX components, one folder each: component.py declares the component, executor.py does its work."""
