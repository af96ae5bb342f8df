"""A variant as a kit to take home: model with metadata, golden set, script, model card."""
