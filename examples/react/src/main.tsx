import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { Site, SiteProvider } from "./site";
import "./style.css";

const origin = document.querySelector<HTMLMetaElement>("meta[name=storyhouse]")!.content;

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <SiteProvider value={new Site(origin)}>
      <App />
    </SiteProvider>
  </StrictMode>,
);
