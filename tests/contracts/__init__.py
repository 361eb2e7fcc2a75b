"""The contract documents under the tools of their standards."""
