"""Words that reports use and that are also people's names, in English, German, French, Spanish and Polish.

Owns the list and the case in which reports write each word, by which `names` tells `a small effusion` from
`Mrs. Small`: lower case, capitalised (German nouns, months, weekdays), or capitals (abbreviations).
"""

from __future__ import annotations

from timnet.reports.plain_text import plain

_WORDS = """
emergency denies deny states stated reports oncology medicine cardiology pulmonology intensive team service
department hospitalist intern resident attending outpatient inpatient internal primary called spoke discussed
family mother father wife husband daughter brother sister a able about above abnormal abrupt abscess absent
abutting accident acute additional adequate adjacent adult after again age aged agree agreed agrees air
airspace airway all alpha also although an and angle angles anonymous anterior any aorta aortic apex apical
apices apparent appear appears appreciable approximately april arch are area areas arm art artery artifact as
ascending aspect aspiration assess asthma asymmetric at atelectasis atrial august available away axillary axis
azygos back band bar bare barrel base bases basal basilar basilic be bear became become been began behind
being bell below belt bend bending beneath benign best better between big bilateral bill bird birth black
bland blast bleed block blood blue blunt blunted blunting blush bodies body bold bone bones bony border
borders both bottom bow bowel box branch branches brain breadth breast breath breathing brief bright broad
broken bronchi bronchial bronchus brook brown build bulb bullet bump bundle burn burns bush but by cable
calcified calf call can canal cancer cannot cap car card cardiac cardiomegaly care carina carry case cast cath
catheter cause cava cavity cell center central cephalad chain chamber chance change changed changes check
chest chief child christian chronic circle clamp clavicle clean clear cleared clearing click clinic clinical
clip clips close closed cloud coarse coil cold collapse collar collection column come comes commit common
compared comparison complete complex concern condition cone congestion consistent consolidation constant
contact contour contrast cook cord core corner correct correlate cough could count course cover crack crest
cross crossed crow crown cup curve curved cut cyst daily dark data date day days dead dear december deep
defect degenerative dense density device devices dexter diaphragm did diffuse diffusely digital disease dish
disk distal do does doctor dome done door double doubt down drain drains drawn drift drive drop drug dry dual
due dull during each earlier early east edema edge effusion effusions either elevated elevation emphysema
empty end ends enlarged enough entry equal erect essential etiology evaluate evaluation even evidence exam
examination except expanded expansion exposure extensive exudate eye face failure faint fair fall false far
farm fast fat fault feature february feeding female few fibrosis field fields film films final find finding
findings fine finger first fish fissure fit fixed flag flat flow fluid fly focal fold folds follow following
food foot for force foreign forest form found fox fracture fractures frank free french fresh from front full
further fusion gain gas gastric general gentle girl given glass going gold good gradual grand grant granuloma
graph graphic gray great green grey gross ground growth guide gun had half hall hand hands hard hardware hardy
has have haze hazy he head healed healing heart heavy height held hemi her here hernia high hiatal hilar hill
hilum him his history hold hole home hook hope horn hospital hot house however huge human hunt hyper
hypoinflation i ice if ill image images imaging impression improved in incidental increase increased
indication infection inferior infiltrate infiltrates inflated inspiration intact interval into is it its jet
joint joints joy june july jugular just keen key kidney kind king knee knife knot known lack lake lamb land
lane large last late lateral law lay layer layering lead leads leaf lean least left length lens less lesion
lesions level levels lie life lift light like likely limit limited limits line linear lines lingula lingular
list little liver lobe lobes lobar lock long loop loose lose loss lost lot love low lower lucent lung lungs
lymph made main major male man manner many march mark marked markedly markings marks mass masses may me mean
medial median mediastinal mediastinum medical medium men mental method mid middle midline might mild mildly
mill mind minimal minor minute miss mitral mixed moderate moderately monitor month months moody moore more
most motion mouth much multiple muscle must my nail name narrow near neck needle negative neither never new
nerve nice night nipple no node nodes nodular nodule nodules none nor norm normal north nose not notch note
noted notified now nurse o obscured obtained obvious occult of off old on once one ones only opacification
opacities opacity open or orange order osseous osteopenia other otherwise our out over own pace pacemaker page
pain pair pale palm paper park parks part partial parts past patch patchy patient pattern peak pear pearl peg
penny perhaps person phase phone physician picc pin pink pipe pit place placed plain plan plane plate pleura
pleural plug pneumonia pneumothorax point pole poor poorly pope port portable position possible possibly post
posterior potter pound power precious present presents prevent previous price prime prior probable process
prominence prominent prompt proper proximal pulmonary pure push quick quiet radiologist radiology rain raise
rapid rare rather ray read reading rear reason recent recently recommend red reduced reed region related
remain remains removed repair report rest result review rib ribs rice rich ridge right ring rise rivers road
rock rods role roman room root rose rotated rough round rounded row rule run sail saint same sand save saw say
scale scalp scan scar scarring scattered school scoliosis scott screen screw sea seal second secondary section
see seen segment sent september sequel set several severe severely shadow shadows shaft shallow shape sharp
she sheet shell shield shields shift ship shop short should shoulder show shows shunt side sides sight sign
signs silhouette silver similar simple since single sinus site six size sized skin skull sleeve slight
slightly sling slow small smart smoke smooth snow so soft solid some somewhat son soon south space spaces span
spear speed spine spinal split spot spots spring stable stage stamp standing star start stat status stay
steady stem stent step sternal sternotomy sternum stiff still stitch stomach stone stones straight strand
strange streaky stress strip stroke strong structures studies study subtle such sudden suggest suggesting
summer sun superior supine supply support surgery surgical suspected suture swan sweet swelling swift switch
symmetric symptoms system table tall tank taper target tear technique temple ten test than that the their them
then there therefore these they thick thickening thin thing this thoracic thorax those three thumb thus tie
tight tilt time tiny tip tips tissue tissues to toe told tone too top torso tortuous total touch trace trachea
tract trail transverse trauma tree trial true trunk tube tubes tubing tumor turn turner twin two type ulcer
ultrasound unable unchanged under underlying unit unknown unremarkable until up upon upper upright us use used
usual vague vale valve valves vascular vascularity vein vena very vessel vessels view views visible visualized
void volume volumes wall walls ward warm was waste watch water waters wave way we weak web wedge week weeks
well were west wet what wheat when where which white who whole wide width will wind window wing winter wire
wires wise with within without wolf woman women wood woods word work worse worsened worth would wound year
years yellow yes yet young zone zones cyanotic hx aware
asked recommends recommended concurs confirmed confirms
advised paged der die das dem den des ein eine einer eines und oder ohne mit im am auf aus bei beim bis durch
von vom zu zur zum nach vor seit ist sind war wird wurde keine kein nicht nur noch auch er sie es wir ich da
du alt alte alter braun breit dick dunkel fein flach frei frisch ganz gerade gering grosse grosser gut hart
hell herzog hoch hohe jung junge junger kalt klar klein kleine kleiner kraus krumm kurz kurze lang lange
langer lauter leicht linke linken linker links neu neue neuer nieder ober obere oberer rechte rechten rechter
rechts rein rot roth scharf schlank schmal schmale schnell schwach schwarz starke starker stark stumpf tief
unter voll weich weiss wenig zart Atem Auge Bad Bart Baum Bauch Becken Befund Bein Berg Bild Blut Bogen Brust
Ende Feld Fuss Fleck Gefass Glied Hals Haut Herd Herz Kalk Kamm Kern Kissel Knoten Kopf Kreis Lage Luft Lunge
Mann Mitte Rand Raum Rippe Rippen Rund Sack Schatten Seite Spitze Stamm Stein Steg Stift Stunde Tag Teil Wand
Weg Welle Wirbel Winkel Zeichen Zeit Zweig Frau Herr Arzt ainsi apres au aucun aucune aux avec beau bel blanc
bon bonne bras brun calme chez clair coeur corps cote cotes courant court dans de depuis deux doux droit
droite elle en est et fin fort franc froid gauche grande gris gros haute il ils jeune juste la le les leger
legrand libre longue lui ma mais meme mince moins moyen ne net noir non nous ou par pas petit petite plein
plus poumon pour profond propre roux sans sec ses si sous sur tres un une vieux vif vis vue abajo alto ancho
arriba bajo blanca blanco bravo buena bueno cabeza calvo campo caro casa claro como con corazon corto costa
cruz cuello del delgado derecha derecho desde dos el ella entre era esta este fino franco fuerte hay hoy
izquierda izquierdo las leal leve lo los luz mayor media medio menor moreno muy ni nuevo para pardo pequeno
pero plano por pulmon que real rey rico rubio santo se sin sobre su suave sus torax una valle vera viejo y ya
albo ale bez biala bialy brak byl byla ciemny cien czarny czy dla dobry dolny drobny duza duzy dlugi gorny
gruby jak jasny jego jej jest krotki lewa lewe lewego lewej lewy lub mala maly mlody na nad nie niski nowy od
oraz ostry pan pani po pod prawa prawe prawego prawej prawy przez przy przed rog serce silny stan stary sucha
suchy szary sa ta te tu u w wielki wysoki wolny z za ze zebra zebro zielony Monday Tuesday Wednesday Thursday
Friday Saturday Sunday January October November Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag
Januar Februar Juni Juli Oktober Dezember Doppler Hodgkin Kerley AA AB AC AP BP CA CC CD CM CR CT CV CXR DR DX
ED EF EKG FR GE GI HD HO HR ICU ID II III IJ IV KG KUB KV LAO LL LLL LM LT LUL LV MAI MG MI ML MM MR MRI MV NG
NGT NP OA OG OT PA PE PET PH PT RA RAO RLL RML RN RT RUL RV RX SC SOB ST SVC TB TEE TR TV TX UA UE VA VI VP VQ
WBC XR YO
"""

SPELLING = {plain(word).casefold(): word for word in _WORDS.split()}
"""From each word without diacritics, case folded, to how reports write it."""
