"""Names of people and places that stand in for those of an original."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


FIRST_NAMES = words("""
Ada Adele Agnes Albin Alma Anders Anton Arlo Astrid Axel Bea Benno Birgit Bruno Carla Casper
Celia Cleo Cora Dag Dalia Dario Edda Edgar Elif Elin Emil Enzo Erik Esther Falk Fay Felix Finn
Flora Frida Georg Gerda Gina Gus Hedda Helga Henrik Hugo Ida Igor Ilka Ines Ira Iris Ivo Jara
Jens Joel Jonas Jule Juno Kai Karla Kasimir Kian Klara Knut Lars Lea Leif Lena Linus Lore Lotta
Lutz Magnus Maja Malte Marit Mats Mila Milo Mona Nadja Nele Nils Nora Odin Ola Orla Otto Paula
Per Petra Pia Quin Rafael Ragna Rasmus Rolf Rosa Runa Ruth Sander Selma Sigrid Silas Sina Stig
Sven Svea Tara Thea Tilda Timo Tove Ulla Ulf Urs Vera Vida Viggo Wanda Wilma Yara Yves Zara
Zelda
""")
LAST_NAMES = words("""
Abel Achter Ahlberg Amsel Arndt Bach Beck Berg Bloch Boon Borg Brandt Brook Busch Carr Claus
Conrad Dahl Decker Dorn Drews Ebert Eck Egan Eklund Engel Falk Fels Fink Frey Fuchs Gale Geiger
Gerlach Glas Grau Gross Haas Hagen Hahn Hansen Hartig Heller Holm Horn Huber Iver Jahn Jost Kant
Kern Klee Klein Koch Krug Kuhn Lang Lehr Linde Lorenz Lund Maas Marx Mohr Moser Nagel Nero Neuer
Norden Oster Paulsen Pohl Quist Rabe Ramm Reed Reuter Ritter Roth Sander Sauer Schenk Seidel
Sommer Stark Stein Storm Strand Sturm Tanner Thal Tiedt Ufer Unger Vogel Vogt Voss Wagner Walch
Weber Weiss Wendt Winter Wirth Wolff Zander Ziegler Zorn
""")
STREETS = words("""
Alder Amber Aspen Beacon Birch Bridge Brook Canal Castle Cedarwood Chapel Church Clover Copper
Coral Dogwood Dove Fern Field Forest Garden Gate Glen Grove Harbor Hazel Heather Hickory Holly
Ivy Juniper Lark Laurel Linden Magnolia Meadow Mill Moss Myrtle Olive Orchard Orchid Pebble
Poplar Prairie Quarry Raven River Rose Sage Spruce Station Summit Thistle Valley Walnut
Willowbrook Wren
""")
KINDS_OF_STREET = ("Drive", "Street", "Avenue", "Road", "Lane", "Boulevard", "Way", "Court")

# Airports that stand for others on the same coast or in the middle: code and city.
COASTS = {
    "west": """
SFO San Francisco,LAX Los Angeles,SEA Seattle,PDX Portland,SAN San Diego,SMF
Sacramento,OAK Oakland,SJC San Jose
""",
    "inland": """
ORD Chicago,DFW Dallas,DEN Denver,PHX Phoenix,IAH Houston,LAS Las Vegas,MSP
Minneapolis,DTW Detroit,STL St. Louis,SLC Salt Lake City,MCI Kansas City,AUS Austin,SAT
San Antonio,MKE Milwaukee,CVG Cincinnati,OMA Omaha,ABQ Albuquerque,TUL Tulsa,IND
Indianapolis,CLE Cleveland
""",
    "east": """
ATL Atlanta,MIA Miami,BOS Boston,MCO Orlando,CLT Charlotte,PHL Philadelphia,TPA Tampa,RDU
Raleigh,JAX Jacksonville,BNA Nashville,RIC Richmond,CHS Charleston,SAV Savannah,PIT
Pittsburgh,BUF Buffalo,PVD Providence
""",
}
# Cities with two airports, and one with an airport near by: city, codes, near city, near code.
METROPOLES = (
    ("New York", "JFK", "LGA", "Newark", "EWR"),
    ("Washington", "IAD", "DCA", "Baltimore", "BWI"),
    ("Boston", "BOS", "ORH", "Manchester", "MHT"),
    ("Miami", "MIA", "OPF", "Fort Lauderdale", "FLL"),
    ("Norfolk", "ORF", "NGU", "Newport News", "PHF"),
    ("Montreal", "YUL", "YHU", "Ottawa", "YOW"),
)
NICKNAMES = {"LaGuardia": "LGA", "Kennedy": "JFK", "Seattle-Tacoma": "SEA", "O'Hare": "ORD"}

STATES = {
    "AZ": "Phoenix,Tucson,Mesa,Chandler,Glendale",
    "CA": "Los Angeles,San Diego,San Jose,San Francisco,Sacramento,Fresno,Oakland",
    "CO": "Denver,Aurora,Boulder,Pueblo,Greeley",
    "DC": "Washington",
    "FL": "Jacksonville,Miami,Tampa,Orlando,Naples,Pensacola",
    "GA": "Atlanta,Augusta,Savannah,Macon,Athens",
    "IL": "Chicago,Peoria,Joliet,Rockford,Elgin",
    "IN": "Indianapolis,Fort Wayne,Evansville,Gary,Muncie",
    "MI": "Detroit,Lansing,Flint,Ann Arbor,Dearborn",
    "MN": "Minneapolis,Duluth,Rochester,Mankato,Moorhead",
    "NC": "Charlotte,Raleigh,Durham,Greensboro,Cary",
    "NY": "New York,Buffalo,Yonkers,Syracuse,Albany",
    "OH": "Columbus,Cleveland,Toledo,Akron,Dayton",
    "PA": "Philadelphia,Pittsburgh,Allentown,Erie,Scranton",
    "TN": "Nashville,Memphis,Knoxville,Jackson,Franklin",
    "TX": "Houston,Dallas,San Antonio,Austin,Fort Worth,El Paso,Plano",
    "VA": "Richmond,Norfolk,Chesapeake,Hampton,Roanoke",
    "WA": "Seattle,Spokane,Tacoma,Everett,Kent",
    "WI": "Milwaukee,Madison,Kenosha,Racine,Appleton",
}


def airports(coast: str) -> list[tuple[str, str]]:
    """The airports of a coast, as code and city."""
    pairs = (
        airport.split(" ", 1) for airport in COASTS[coast].replace("\n", " ").strip().split(",")
    )
    return [(code, city) for code, city in pairs]


def cities(state: str) -> list[str]:
    """The cities of a state."""
    return STATES[state].split(",")
