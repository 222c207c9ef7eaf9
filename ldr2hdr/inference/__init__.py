"""Inference on photographs: conversion, camera profiles, uncertainty, outputs and export."""
