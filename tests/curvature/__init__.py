"""Curvature of real networks against dense Hessians."""
