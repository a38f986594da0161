/** The top-level domains by which an address without a scheme is recognized. Rare ones would make links of words. */

const pairs = (text: string): ReadonlySet<string> => new Set(text.match(/../gu));
const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));

/** Domains of countries, except those of {@link LIKE_FILES}. */
export const COUNTRIES = pairs(
  "acadaeafagaialamaoaqarasatauawaxazbabbbdbebfbgbhbibjbmbnbobrbsbtbwbybzcacdcfcgchckclcmcncocrcucvcwcxcyczdedjdkdmdodz" +
    "eceeegeresetEUfifjfkfmfofrgagdgegfggghgiglgmgngpgqgrgsgtgugwgyhkhmhnhrhthuidieiliminioiqirisitjejmjojpkekgkhkikmkn" +
    "kpkrkwkykzlalblclilklrlsltlulvlymamcmemgmhmkmlmmmnmompmqmrmsmtmumvmwmxmymznancnenfngninlnonpnrnunzompapepfpgphpkpl" +
    "pnprptpwqarerorsruRWsasbscsdsesgsiskslsmsnsosrssstsvsxsyszTCtdtftgthtjtktltmtntotrtttvtwtzuaugukusuyuzvavcvevgvivn" +
    "vuwfwsyeytzazmzw".toLowerCase(),
);
/** Domains of countries and others that are also the endings of files. They need "www.", a port or a path. */
export const LIKE_FILES = words("md sh py pm ps cc zip mov");
export const GENERIC = words(
  "com org net edu gov mil int info biz name pro mobi museum coop aero asia cat jobs tel travel post app dev page xyz " +
    "online site shop store tech blog cloud link live news club wiki space team world email chat design agency studio " +
    "media company berlin hamburg wien london paris nyc tokyo swiss scot bayern koeln cologne eus gal bzh amsterdam xxx",
);
export const INTERNATIONAL = words(
  "рф рус укр бел қаз мон срб мкд бг ею онлайн сайт дети москва орг ком ελ ευ გე հայ 中国 中國 台湾 台灣 香港 澳門 公司 网络 " +
    "한국 भारत ভারত বাংলা இந்தியா இலங்கை ලංකා ไทย السعودية امارات مصر ایران ايران الاردن المغرب الجزائر تونس قطر عمان فلسطين پاکستان بھارت",
);
