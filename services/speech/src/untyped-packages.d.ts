/** Packages without types of their own; what is used of each is declared where it is used. */
declare module "@echogarden/espeak-ng-emscripten";
declare module "sherpa-onnx";
