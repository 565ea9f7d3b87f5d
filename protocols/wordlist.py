"""2,048 English words for `protocols.words`, in alphabetical order.

Chosen for this program: common, 4 to 7 letters, and no two of them one letter apart (replaced, added or left out), so
that a slip of the eye or of the tongue does not turn one into another. The list is part of the protocol: two versions
with different lists show different words for the same keys.
"""

from __future__ import annotations

from typing import Final

_TEXT: Final = """
abbey ability about above absence accept access accord account achieve acorn acquire acrobat across action active
actor actual adapt address adjust admiral admit advance advert advice affirm after again against agency agent agile
agree ahead airline airport airship alarm album alert algebra alike alley allow almanac almond along alpine already
also always amaze amazon amber ambient amount amuse anatomy anchor ancient android anemone angler animate ankle
another answer antenna antique apart apology appear apply approve apricot april apron aquatic arcade arch archery
archive arctic aroma around arrange array arrival arrive article artisan artist ashore aside asleep aspect asset
assist assume athlete atlas atom atomic attach attempt attend attic attract audible aura aurora author autumn avenue
average avocado avoid awake award away axle azure babble back badger baggage bagpipe bakery balance balcony ball
ballad ballet balloon bamboo banana bandage banjo banquet barber bargain barn barrel barrier base basic basket
bassoon batch bathe baton battery beacon beagle beam beard beauty beaver become bedroom bedtime beehive beetle
before begin behave behind believe bellows belong bench beside between beyond bicycle biology birch birdie biscuit
bite bitter blanket blaster blazer blend blender blink block blossom blouse blow blue boat body bold bone bonfire
bonnet bonus booklet boots border borrow botanic both bottle bottom bounce bouquet bowl bowling boxer bracket brain
branch brand brave breathe breeze brewer brick bride brief bright bring broad bronze brook brown brownie brush
bucket buckle budget buffalo buffet build builder bulk bulldog bumper bundle burger bushel butler button buzzer
cabbage cabin cabinet cable cactus calcium calf camel camera camp canal canary cancel candle candy canoe canteen
canyon cape capsule captain caption caramel caravan carbon career careful carpet carrot carry cart cartoon cascade
cash cashew cashier castle casual catalog cedar celery cello cement census central century ceramic certain certify
chain chalk chamber chance channel chaos chapter charge charm chase chat check cheer cheese cheetah chemist cherry
chest chew chicken chief child chilly chimney chips chisel choice choir chop chore chrome chuckle cider cinema
cipher circle circuit citizen citrus city civic claim clarify class classic claw cleaner clear clerk clever client
cliff climate climb clinic clip clipper cloak close clothes cloudy clown club cluster coach cobalt cobbler cocoa
coconut code collage collar collect colony column comb combine comet comfort comic command comment common commute
compact company compare compass compost concept concern concise confirm connect consent contact contain context
contour control convert convoy cook cookie copper coral cordial corner correct costume cosy cottage cotton country
couple coupon courage courier court cover cowboy coyote crab cracker cradle crafty crank crater crawl crayon cream
create credit creek cricket crimson crisis crisp crowd crucial cruiser crumb crust crystal cube cuddle cuisine
culture curious curly current cursor curve cushion custard custom cutlery cycle cycling cyclist cyclone cypress
dahlia daily damage dancer dark darts data dawn dazzle debate decade decimal declare decline decoy deepen define
degree delay delight deliver deluxe demand dentist depart depend design desire desk desktop dessert detail detect
develop device diagram dialect diamond diary dice diet differ digest digit dignity dimple direct disco discuss dish
display distant diver divide diving doctor dodge dolphin domain domino donate donkey door double doubt dough dove
dozen drag dragon drama drawer dress drift drill drink drive drizzle drop drum drummer duck duke durable during
dusty dynamic eager early earth easel eastern easy echo eclipse ecology edit edition editor educate effect effort
either elastic elbow elder element elevate eleven embark embrace emerald emerge emotion emperor empire employ empty
enable enchant enclose encore endless energy enforce engage engine enhance enigma enjoy enlarge enlist enough ensure
enter entire entry epic episode epoch equal equator equip error escape estate evening event every evident evolve
exact exam examine example excel except excite excuse exhaust exist exotic expand expect expense explain explode
export expose express extend extra extract eyebrow eyelid facet factory fair falcon family famous fancy farmer
fashion fasten feast feature feeling fence fencing ferret ferry fetch fiction fiddler field fiery fifteen figure
file filter final finance finch finger finish firefly fireman firm first fisher fixture flag flame flannel flash
flavour fleece fleet flight float flood flora florist flower fluffy fluid flute focus foghorn folder foliage foot
force forest forever forget forgive fork formal formula fortify fortune forty forum fossil foster four fragile
freckle free freedom freezer freight fresh friday fridge friend frog front frosty frozen fruit fudge fuel fund
funnel funny furnace further fuse future fuzzy gadget galaxy gallant gallery gallon galore garage garden garlic
gateway gather gaze gecko gemini general genius gentle genuine giant gift gifted giggle giraffe girl give glacier
glad glamour glance glider glitter global globe gloomy glory glossy goal goggles golden golfer gondola good goose
gorilla govern grade gram grammar grandma granite granola graph graphic grasp gravel great green grip gritty grotto
group grow grumble guess guide guitar gull gutter gymnast habit hail hairpin hallway halt hammer hammock hamster
handbag hang hanger happen happy harbour harmony harness harp harvest have hazel headset headway heal healthy hearty
heath heather heavy height helium helm helmet helpful heron hexagon hiccup high highway hiker hill hinder hint hire
history hobby hockey holiday hollow home honest honey hoof hopeful horizon host hotel house huge humble humid
hundred hunter hurdle hurry husband husky hydrant hygiene hyphen iceberg icicle icon idea igloo iguana image imagine
impact import impress improve impulse include indeed indent index indigo inform initial inland inner input inquire
insect inside insight insist inspire install instant intact intake integer intend intense into invest invite iris
irony item itself ivory jacket jade jaguar january jasmine jaunt javelin jazz jeep jelly jersey jewel jigsaw join
joiner joke journal journey joyful juggler juice july jump june jungle junior juniper just justice justify kale
karate kayak keen kennel kestrel ketchup kettle kick kidney kilt kind kingdom kiosk kitchen kitten kiwi kneel knight
knit knock known knuckle koala label lace ladder ladle lady lagoon lamb land lantern laptop large lasagna later
lattice laugh launch laurel lawyer leader leaf league learn leave lecture legacy legend lemon length lentil leopard
less lesson letter lettuce level liberty library likely lilac lily limit linen liquid list listen literal little
lizard llama lobster local locate locket locust loft logbook logic logical logo loosen lord lottery lounge lovely
loyalty lucid lucky luggage lunar lung magenta magic magnet magpie majesty major mammal mammoth manager mango manner
mansion mantle manual maple marble margin marine marker married marrow marvel mascot mask mason master mate maths
matrix mature maximum maybe meadow meaning measure median medium meeting mellow melody melon melt member memento
memory mention mentor menu merit mermaid message metal meteor method metre metric mighty milk miller million mimic
mineral mingle minibus minimum minute miracle mirror miss mission mixer mobile model modern modest modify moist
moment monarch monday monitor monsoon month moonlit more morning mother motive motor motto much muffin mule mural
museum music musical mutual muzzle myself mystery myth narrate natural nearby neat nebula neck nectar need needle
nephew nestle network neutral neutron never newborn news nickel niece nimble nine ninety noble nobody noise nonstop
noodle noon notepad nothing notice notion nourish novel nugget number nurse nursery nutmeg nylon oasis oath oatmeal
obey object observe obvious occupy occur ocean octagon october octopus offer officer often okra olive once onion
only opal open opening opera operate opinion oppose optimal option orange orbit orbital orchard orchid orderly
oregano organ organic origami origin ostrich outdoor outer outfit outing outline outlook outside overall overlap
owner oxford oxygen oyster package pact paddock page paint painter palace palette palm pancake panda panel panic
panther pantry papaya paper paprika parade parasol parcel parent parlour parsley parsnip parting partner pass
passage passion pasta pastel pasture patient patio patrol pattern pause payroll peace peanut pearl pebble pedal
pelican pencil penguin pennant pepper percent perfect perform perfume perhaps period permit photon phrase physics
pianist piano piccolo pickaxe pickle picnic picture pigeon piglet pigment pilgrim pillar pillow pilot pink pioneer
pipe pirate piston pitch pixel pizza plaid planet plank plate play player playful plaza plea please pledge plenty
pliers plug plumber poem poetry policy polish polite pollen polo polygon poncho pony popcorn poppy popular portal
porter portion postage postman potato pouch powder prairie praise predict prefer premise premium prepare present
presto pretend pretty pretzel prime prince privacy private problem proceed process produce profile program project
promote prompt proof propose prosper protein proud prove proverb provide public publish pudding pueblo pulley pulse
pumpkin pupil puppet purple purpose pursue push putty pyjamas pyramid python quail qualify quantum quarrel quarry
quarter quartz queen queue quick quiet quiver quiz quote rabbit raccoon racing radar radiant radio radish radius
raffle railway rainbow raisin rapid rare rattle raven razor react ready realise really reason rebuild recall receipt
receive recent recipe record recover recruit recycle redeem reduce reflect refrain refresh refuge regard region
regular rejoice relax release remain remark remedy remind remote rename renew rent repair repeat replace replica
reply report reptile request rescue reserve resolve respect respond restore result resume retire return reunion
reveal reverse review revise revival rhyme rhythm ribbon rich riddle rigid rinse ripple risk risotto ritual rival
rivet roar robin robot robust rock rocker rodeo roll romance rooster rose rotary rotate rotund routine rowboat
rubber rudder rugby ruler rumour runner running runway rustic rustle saddle safari safe saffron sailing sailor salad
salary salmon salty salute sample sandal sandpit sardine satin saucer sauna sausage savanna savings sawdust sawmill
scale scan scarf scarlet scatter scenery scheme scholar school science scone scooter scout scrape scratch screen
screw script seafood seagull seaside seaweed second secret section sector secure seek segment select send senior
sense sequin serial series serious serve sesame setting settler seven seventy shadow shallow shampoo shape shark
sharpen shed sheet shelf shelter sheriff shield shingle shiny shirt shock shoe shopper shorts shovel shower shrimp
shrink shrug shuffle shut shutter siesta signal silence silent silicon silly silver similar since sincere siren
sister sixteen skater skating sketch skier skiing skill skip skipper skyline sleepy sleeve slice slim slope small
smart smile smoke smooth snack snail snake snap sneaker sneeze snow snowman snuggle soak soccer social society sofa
soil solar soldier solid soloist solve song sonic soothe sound soup source space spanner sparkle sparrow spatula
speak special speech speed spell sphere spicy spider spin spinach spindle spiral spirit splash split sponge sponsor
spoon spot spray spread sprint spruce square squash squeak squeeze squid stable stadium stage stalk stamp stand
station status stay steady steamer steeple steer steward sticker sticky stiff stir stitch stomach stool stop storm
stove strange strap stream street stretch strict stride stroll strong student studio stumble sturdy style subject
submit succeed success sudden sugar suggest suit summary summer sunbeam sunday sunrise sunset superb supply support
suppose sure surface surfer surfing survey sustain sweater swede sweep sweeten swift swimmer swing swivel symbol
synonym syrup system tactic tadpole take talent tangle tanker target tasty teach teacup teapot tease tell tempt
tennis tension terrace terrain text texture thanks thaw theme theorem theory they thick thimble thirst thirty this
thistle thorn those thought thread three thrill thrive throat throne through throw thumb thunder ticket tidy tiger
tight timber time timely tiptoe tired tissue title toast toaster today toddler toffee toga token tomato tongs tongue
tooth topaz topic torch toss total toughen tourist toward towel town trace tractor trader traffic tragedy trail
trailer tray trend tribute trickle trident trigger trilogy trim triplet tripod triumph trolley troop trophy tropics
trot trouble truck true trumpet trusty truth tuba tuesday tulip turkey turn turnip turnout turtle tuxedo tweed
twelve twenty twig twinkle twirl twist type typical ukulele ultra uncle uncover under undergo unfold unicorn uniform
unify unique united unless unlock unpack until unwrap update upgrade uplift upon upper upright upward urban urgent
usable usage useful usual utensil utility vacant vaccine value vanilla variety varnish vast vehicle velvet venture
verb verify version victory video view villa village vintage violet violin virtual visible vision visit visitor
visual vital vitamin vivid voice volcano volley volt volume vote voyage waggle wagon wakeful walk walnut walrus want
warmth watery wavy wayside wear webcam wedding wedge weekday weekend weekly welcome welfare western wheat wheel when
whisker white whole wicker widget width wild wildcat willing window winter wintry wise within without witness wolf
woman wonder wooden wool worker workman world worldly worm worry worthy wrapper wrestle wrist writer yard yogurt
young youth zebra zero zest zigzag zipper zoom
"""

WORDS: Final = tuple(_TEXT.split())
