"use strict";
ravine.add("paths", JSON.parse(document.getElementById("paths-figure").textContent));
ravine.begin(JSON.parse(document.getElementById("colours").textContent));
